import type { DataKey, KeyRing } from "../crypto/key-ring.ts";
import type { EmailDetails } from "../email/email-details.ts";
import { showMailbox } from "../email/mailbox.ts";
import { decryptEmail } from "../queue/decrypt-email.ts";
import type {
  StoredAttempt,
  StoredEmail,
  StoredRecipient,
  WholeEmail,
} from "../store/stored-email.ts";

/** The status object of API.md; with `attempts` unless it stands in a list that leaves them out. */
export function emailAnswer(
  email: StoredEmail,
  keyRing: KeyRing,
  { withAttempts }: { withAttempts: boolean },
) {
  const { subject, attempts, recipients } = decryptEmail(email, keyRing);
  return {
    id: email.id,
    status: email.status,
    scheduled_at: email.scheduledAt,
    next_attempt_at: email.nextAttemptAt,
    sent_at: email.sentAt,
    created_at: email.createdAt,
    subject,
    tags: email.tags,
    metadata: email.metadata,
    region: email.region,
    version: email.version,
    max_retries: email.maxRetries,
    ...(withAttempts ? { attempts: attemptAnswers(attempts) } : {}),
    recipients: recipientAnswers(recipients),
  };
}

/** The status object and what was asked for; all of the latter is null once shredded. */
export function wholeEmailAnswer(email: WholeEmail, keyRing: KeyRing) {
  const details = openDetails(email, keyRing);
  return {
    ...emailAnswer(email, keyRing, { withAttempts: true }),
    expires_at: email.expiresAt,
    max_lateness: email.maxLatenessSeconds,
    on_late: email.onLate,
    from: details && showMailbox(details.from),
    reply_to: details?.replyTo ? showMailbox(details.replyTo) : null,
    body: details?.body ?? null,
    html_body: details?.htmlBody ?? null,
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

/** What was asked for; null once shredded. */
export function openDetails(email: WholeEmail, keyRing: KeyRing): EmailDetails | null {
  const dataKey = dataKeyOf(email, keyRing);
  return dataKey && email.details && JSON.parse(dataKey.decryptText(email.details, "details"));
}

/** The message without its Date; null once shredded. */
export function openMessage(email: WholeEmail, keyRing: KeyRing): Uint8Array | null {
  const dataKey = dataKeyOf(email, keyRing);
  return dataKey && email.message && dataKey.decryptBytes(email.message, "message");
}

function dataKeyOf(email: StoredEmail, keyRing: KeyRing): DataKey | null {
  return email.wrappedKey === null
    ? null
    : keyRing.openDataKey(email.wrappedKey, email.id, email.ownerId);
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
