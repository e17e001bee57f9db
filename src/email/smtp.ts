/** What an SMTP conversation said, as plain facts; `mail/classify.ts` judges them. */

/** One SMTP reply (RFC 5321 section 4.2). */
export interface SmtpReply {
  /** 200–599. */
  code: number;
  /** RFC 3463, such as `5.1.1`; null when the server gave none. */
  enhanced: string | null;
  /** The words after the codes, lines joined with a space, at most 500 characters. May quote addresses. */
  text: string;
}

/** How far the conversation had come when it ended. `body` and `reply` lie behind the fence. */
export type SmtpPhase =
  | "connect"
  | "greeting"
  | "ehlo"
  | "starttls"
  | "auth"
  | "mail"
  | "rcpt"
  | "data"
  | "fence"
  | "body"
  | "reply";

/** Envelope of one attempt (RFC 5321), apart from the message's headers. */
export interface Envelope {
  /** MAIL FROM. */
  from: string;
  /** Those still to be tried; `position` is the recipient's place in its email, from 0. */
  recipients: { position: number; address: string }[];
}

/** The database's word on whether the body may be sent; `fence_failed`: not now. */
export type FenceAnswer =
  | { granted: true }
  | { granted: false; reason: "cancelled" | "stale" | "paused" | "fence_failed" };

/** What one conversation came to, before anybody judges it. */
export interface SendReport {
  /** Where it ended; `reply` with a `reply` set is the normal end. */
  phase: SmtpPhase;
  /** True once the fence was granted: from here on the body may have reached the next hop. */
  fenced: boolean;
  /** The Date header's instant that was used; null when no body was started. */
  messageDate: Date | null;
  /** The reply that ended the conversation: to the dot, or the refusal. Null: none came. */
  reply: SmtpReply | null;
  /** RCPT replies, one for each recipient of the envelope that got one. */
  recipients: { position: number; reply: SmtpReply }[];
  /**
   * Positions that were left out, since the next hop takes no more recipients in one transaction:
   * nothing was said of them, and the next transaction may begin at once. Absent: none.
   */
  untried?: number[];
  /** Set when there was no reply: what failed in words for an operator, without addresses. */
  error: string | null;
  /**
   * Why no body was sent although the server would have taken it: the fence was refused
   * (`cancelled`, `stale`), its call failed (`fence_failed`), or we were stopping (`aborted`).
   */
  withheld: "cancelled" | "stale" | "paused" | "fence_failed" | "aborted" | null;
  /** The server offers a login (AUTH), and we have none to give. Absent: false, or not known. */
  isLoginMissing?: boolean;
  /** Host and port, or `capture`. */
  transport: string;
}
