import type { Envelope, FenceAnswer, SendReport } from "../email/smtp.ts";

/** One attempt to hand a message to the next hop. */
export interface SendRequest {
  emailId: string;
  /** Whose it is: owners take turns for connections. */
  ownerId: string;
  envelope: Envelope;
  /** RFC 5322 bytes without a Date header; the transport puts the Date in front. */
  message: Uint8Array;
  /** The Date of an earlier, uncertain attempt, to be repeated byte for byte; null: now. */
  messageDate: Date | null;
  /**
   * Asked once, after the server's 354 and before the first byte of the body. A refusal or a
   * rejection sends no body and no dot.
   */
  fence: (messageDate: Date) => Promise<FenceAnswer>;
  /** Asked before anything is said to the server; false ends it as `aborted`. Default: wanted. */
  isWanted?: () => boolean;
  /** Aborted when we stop: a conversation whose fence is not granted ends at once, others go on. */
  signal: AbortSignal;
}

/** One configured way to send: an SMTP account, or the capture folder. */
export interface Transport {
  /** `smtp` host and port, or `capture`; goes into attempts and the journal. */
  readonly name: string;
  /** Never rejects: whatever happened is in the report. */
  send(request: SendRequest): Promise<SendReport>;
  /** Ends idle connections; those in use end with their send. */
  close(): Promise<void>;
}
