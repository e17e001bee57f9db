import type { DataKey, KeyRing } from "../crypto/key-ring.ts";
import type { Address, EmailDraft, RecipientKind } from "../email/email.ts";
import type { EmailDetails } from "../email/email-details.ts";
import { readMailbox } from "../email/mailbox.ts";
import type { StoredRecipient, WholeEmail } from "../store/stored-email.ts";
import { openDataKeyOf } from "./decrypt-email.ts";
import { openDetails } from "./stored-details.ts";

/** A stored email in clear, as an edit starts from it. */
export interface CurrentEmail {
  email: WholeEmail;
  details: EmailDetails;
  /** As if it were asked for now; the bytes of attachments are in the message alone. */
  draft: Omit<EmailDraft, "attachments">;
  recipients: CurrentRecipient[];
  dataKey: DataKey;
}

export interface CurrentRecipient extends Pick<StoredRecipient, "position" | "kind" | "status"> {
  mailbox: Address;
}

/** Needs the details, and the message if `isMessageNeeded`. Null when the content was destroyed. */
export function openCurrentEmail(email: WholeEmail, keyRing: KeyRing): CurrentEmail | null {
  const dataKey = openDataKeyOf(email, keyRing);
  const details = openDetails(email, keyRing);
  if (!dataKey || !details || email.subject === null) return null;
  const recipients = email.recipients.map(({ position, kind, status, address }) => {
    const mailbox = readMailbox(dataKey.decryptText(address ?? "", `address:${position}`));
    return { position, kind, status, mailbox };
  });
  const listOf = (wanted: RecipientKind) =>
    recipients.filter(({ kind }) => kind === wanted).map(({ mailbox }) => mailbox);
  const draft = {
    from: details.from,
    replyTo: details.replyTo,
    to: listOf("to"),
    cc: listOf("cc"),
    bcc: listOf("bcc"),
    subject: dataKey.decryptText(email.subject, "subject"),
    body: details.body,
    htmlBody: details.htmlBody,
    headers: details.headers,
    scheduledAt: email.scheduledAt,
    maxRetries: email.maxRetries,
    maxAgeSeconds: email.maxAgeSeconds,
    expiresAt: email.expiresAt,
    maxLatenessSeconds: email.maxLatenessSeconds,
    onLate: email.onLate,
    onUncertain: email.onUncertain,
    tags: email.tags,
    metadata: email.metadata,
    region: email.region,
  };
  return { email, details, draft, recipients, dataKey };
}
