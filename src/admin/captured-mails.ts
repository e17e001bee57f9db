/** One captured mail in a list. */
export interface CapturedSummary {
  emailId: string;
  capturedAt: Date;
  /** MAIL FROM. */
  from: string;
  /** RCPT addresses, blind copies too. */
  recipients: readonly string[];
  subject: string;
  sizeBytes: number;
}

/** One captured mail as it would have gone out. */
export interface CapturedMail {
  /** `captured_at` is RFC 3339 in UTC, as the file beside the message has it. */
  envelope: { from: string; recipients: readonly string[]; captured_at: string };
  /** The RFC 5322 bytes. */
  message: Uint8Array;
}

/** What the console asks of the capture folder. */
export interface CapturedMails {
  /** Newest first. */
  list(limit: number): Promise<readonly CapturedSummary[]>;
  /** null: there is none of this id. */
  read(emailId: string): Promise<CapturedMail | null>;
}
