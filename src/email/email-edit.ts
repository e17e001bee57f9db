import type { Address, EmailDraft, OnLate } from "./email.ts";
import type { ResolvedWallClock } from "./wall-clock.ts";

/** When an email is too late, and what happens to it then. */
export interface Lateness {
  expiresAt: Date | null;
  maxLatenessSeconds: number | null;
  onLate: OnLate;
}

/** The lists an email is addressed to, each complete. */
export interface RecipientLists {
  to: Address[];
  cc: Address[];
  bcc: Address[];
}

/** Fields of the message itself beside its recipients. */
type ContentFields = Pick<
  EmailDraft,
  "from" | "replyTo" | "subject" | "body" | "htmlBody" | "headers" | "attachments"
>;

/** What a person changes about an email; a part that is absent stays as it is. */
export interface EmailEdit {
  content?: Partial<ContentFields>;
  recipients?: RecipientLists;
  /** null: as soon as possible. */
  scheduledAt?: Date | null;
  wallClock?: ResolvedWallClock;
  lateness?: Lateness;
  onUncertain?: EmailDraft["onUncertain"];
  maxRetries?: number;
  maxAgeSeconds?: number;
  tags?: string[];
  metadata?: Record<string, unknown>;
}

/** True when the message has to be composed anew. */
export function isContentEdit({ content, recipients }: EmailEdit): boolean {
  return content !== undefined || recipients !== undefined;
}
