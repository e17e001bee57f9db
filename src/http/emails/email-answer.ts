import {
  decryptEmail,
  isUnreadable,
  openDataKeyOf,
  orUnreadable,
} from "../../content/decrypt-email.ts";
import { openDetails } from "../../content/stored-details.ts";
import { decryptMessage } from "../../content/stored-message.ts";
import type { KeyRing } from "../../crypto/key-ring.ts";
import type { Address } from "../../email/email.ts";
import { showMailbox } from "../../email/mailbox.ts";
import type {
  StoredAttempt,
  StoredEmail,
  StoredRecipient,
  WholeEmail,
} from "../../store/stored-email.ts";
import { localTimeAnswer } from "../request/local-time.ts";
import type { UnreadableNote } from "./unreadable-note.ts";

/** What opens an email, and who is told when a part of it does not open. */
export interface EmailOpener {
  keyRing: KeyRing;
  noteUnreadable: UnreadableNote;
}

/**
 * The status object of API.md; with `attempts` unless it stands in a list that leaves them out.
 * What does not open is null, and `unreadable` says that it was not shredded.
 */
export function emailAnswer(
  email: StoredEmail,
  { keyRing, noteUnreadable }: EmailOpener,
  { withAttempts }: { withAttempts: boolean },
) {
  const { subject, attempts, recipients, fault } = decryptEmail(email, keyRing);
  if (fault) noteUnreadable(email.id, fault);
  return {
    ...(fault ? { unreadable: true } : {}),
    id: email.id,
    status: email.status,
    scheduled_at: email.scheduledAt,
    ...localTimeAnswer(email.wallClock),
    next_attempt_at: email.nextAttemptAt,
    sent_at: email.sentAt,
    created_at: email.createdAt,
    subject,
    tags: email.tags,
    metadata: email.metadata,
    region: email.region,
    version: email.version,
    max_retries: email.maxRetries,
    ...(email.dismissedAt === null ? {} : { dismissed_at: email.dismissedAt }),
    ...(withAttempts ? { attempts: attemptAnswers(attempts) } : {}),
    recipients: recipientAnswers(recipients),
  };
}

/** For a caller who may send and not read: nothing that was written, and nobody it was written to. */
export function shortAnswer(email: StoredEmail) {
  return {
    id: email.id,
    status: email.status,
    scheduled_at: email.scheduledAt,
    next_attempt_at: email.nextAttemptAt,
    sent_at: email.sentAt,
    created_at: email.createdAt,
    version: email.version,
  };
}

/** The status object and what was asked for; all of the latter is null once shredded. */
export function wholeEmailAnswer(email: WholeEmail, opener: EmailOpener) {
  const { details, fault } = tryDetails(email, opener.keyRing);
  if (fault) opener.noteUnreadable(email.id, fault);
  return {
    ...emailAnswer(email, opener, { withAttempts: true }),
    ...(fault ? { unreadable: true } : {}),
    expires_at: email.expiresAt,
    max_lateness: email.maxLatenessSeconds,
    on_late: email.onLate,
    from: details && showMailbox(details.from),
    reply_to: details && replyToAnswer(details.replyTo),
    body: details?.body ?? null,
    html_body: details?.htmlBody ?? null,
    ...(details?.isRaw ? { raw: true } : {}),
    headers: details?.headers ?? null,
    attachments:
      details?.attachments.map(({ filename, contentType, contentId, sizeBytes }) => ({
        filename,
        content_type: contentType,
        content_id: contentId,
        size_bytes: sizeBytes,
      })) ?? null,
  };
}

/** In the shape in which one is asked for: a text when it is one, a list of several. */
function replyToAnswer(replyTo: readonly Address[]): string | string[] | null {
  const shown = replyTo.map(showMailbox);
  return shown.length > 1 ? shown : (shown[0] ?? null);
}

function tryDetails(email: WholeEmail, keyRing: KeyRing) {
  try {
    return { details: openDetails(email, keyRing) };
  } catch (error) {
    if (isUnreadable(error)) return { details: null, fault: error };
    throw error;
  }
}

/** The message without its Date; null once shredded. Throws `content_unreadable`. */
export function openMessage(email: WholeEmail, keyRing: KeyRing): Uint8Array | null {
  return orUnreadable(() => {
    const dataKey = openDataKeyOf(email, keyRing);
    const { message, messageBytes } = email;
    return dataKey && message && decryptMessage(dataKey, { message, messageBytes });
  });
}

function attemptAnswers(attempts: StoredAttempt[]) {
  return attempts.map((attempt) => ({
    number: attempt.number,
    started_at: attempt.startedAt,
    ended_at: attempt.endedAt,
    outcome: attempt.outcome,
    smtp_code: attempt.smtpCode,
    enhanced_code: attempt.enhancedCode,
    reply: attempt.reply,
    transport: attempt.transport,
    region: attempt.region,
  }));
}

function recipientAnswers(recipients: StoredRecipient[]) {
  return recipients.map((recipient) => ({
    address: recipient.address,
    kind: recipient.kind,
    status: recipient.status,
    smtp_code: recipient.smtpCode,
    enhanced_code: recipient.enhancedCode,
    reply: recipient.reply,
  }));
}
