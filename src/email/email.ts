import type { ResolvedWallClock } from "./wall-clock.ts";

/** The nouns: what a caller asks us to send, and what becomes of it. No I/O here. */

/** States of an email; the legal edges are in `states.ts` and in the database's trigger. */
export const emailStates = [
  "pending",
  "sending",
  "sent",
  "partially_sent",
  "failed",
  "uncertain",
  "held",
  "cancelled",
  "expired",
  "suppressed",
] as const;
export type EmailState = (typeof emailStates)[number];

/** What became of one recipient (RCPT address) so far. */
export type RecipientStatus = "pending" | "sent" | "deferred" | "bounced" | "suppressed";

/** What one attempt (one SMTP transaction) came to. */
export type Outcome = "sent" | "partial" | "deferred" | "bounced" | "uncertain";

export type RecipientKind = "to" | "cc" | "bcc";
/** What to do with an email that did not get out by `expiresAt`. */
export type OnLate = "send" | "drop" | "hold";
/** What to do after an attempt whose outcome nobody knows. */
export type OnUncertain = "retry" | "hold";

/**
 * A mailbox as our own parser accepted it: `address` is ASCII, its domain in lower case and as
 * A-labels (RFC 5890), without comments, groups or control characters. Safe on an SMTP line.
 */
export interface Address {
  address: string;
  /** Display name, any Unicode without control characters; null when none was given. */
  name: string | null;
}

export interface Attachment {
  filename: string;
  /** A media type such as `application/pdf`. */
  contentType: string;
  /** For `cid:` references in the HTML body; without angle brackets. */
  contentId: string | null;
  content: Uint8Array;
}

/** An email as a caller asked for it, checked and complete, before it is composed. */
export interface EmailDraft {
  from: Address;
  /** Where answers go; empty: to `from`. */
  replyTo: Address[];
  to: Address[];
  cc: Address[];
  bcc: Address[];
  subject: string;
  body: string | null;
  htmlBody: string | null;
  /** Only names of the allow-list; values without CR, LF or NUL. */
  headers: Record<string, string>;
  attachments: Attachment[];
  /** A finished message, which is sent as it is; then there are no bodies, headers and attachments. */
  raw?: Uint8Array;
  /** null: as soon as possible. */
  scheduledAt: Date | null;
  /** The local time that `scheduledAt` was made of; absent: it was given itself. */
  wallClock?: ResolvedWallClock;
  /** 0–20; 3 means at most 4 attempts. null: the default, which greylisting may lengthen. */
  maxRetries: number | null;
  /** Seconds after `scheduledAt` in which retries may start. */
  maxAgeSeconds: number;
  expiresAt: Date | null;
  /** Seconds after the due time; moves `expiresAt` along with it, so at most one of both is set. */
  maxLatenessSeconds: number | null;
  onLate: OnLate;
  onUncertain: OnUncertain;
  tags: string[];
  metadata: Record<string, unknown>;
  /** Home region; null means the region that accepts it. */
  region: string | null;
}
