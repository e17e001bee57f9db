import type { DataKey, KeyRing } from "../crypto/key-ring.ts";
import type { EmailDraft } from "../email/email.ts";
import { detailsOf } from "../email/email-details.ts";
import { writeMailbox } from "../email/mailbox.ts";
import type { Envelope } from "../email/smtp.ts";
import type { Composed } from "../mail/compose-plain.ts";
import type { NewEmail } from "../store/stored-email.ts";
import { encryptDetails } from "./stored-details.ts";
import { encryptMessage } from "./stored-message.ts";

export interface EncryptedEmail {
  email: NewEmail;
  /** The same in clear, for who sends it at once. */
  opened: OpenedEmail;
}

/** What an attempt is made with. */
export interface OpenedEmail {
  dataKey: DataKey;
  envelope: Envelope;
  /** Without Date. */
  message: Uint8Array;
}

/**
 * Encrypts everything of an email that is content, each part bound to its column: `sender`,
 * `subject`, `details`, `address:<position>` for every recipient, and the message as
 * `encryptMessage` says.
 * Tags and metadata stay in clear.
 */
export async function encryptEmail(from: {
  id: string;
  ownerId: string;
  draft: EmailDraft;
  composed: Composed;
  keyRing: KeyRing;
  /** Home region when the draft names none. */
  region: string;
}): Promise<EncryptedEmail> {
  const { id, draft, keyRing } = from;
  const { message, places } = from.composed;
  const { dataKey, wrappedKey } = keyRing.createDataKey(id, from.ownerId);
  const recipients = (["to", "cc", "bcc"] as const).flatMap((kind) =>
    draft[kind].map((mailbox) => ({ kind, mailbox })),
  );
  const email = {
    id,
    region: draft.region ?? from.region,
    scheduledAt: draft.scheduledAt,
    wallClock: draft.wallClock,
    expiresAt: draft.expiresAt,
    maxLatenessSeconds: draft.maxLatenessSeconds,
    onLate: draft.onLate,
    onUncertain: draft.onUncertain,
    maxRetries: draft.maxRetries,
    maxAgeSeconds: draft.maxAgeSeconds,
    tags: draft.tags,
    metadata: draft.metadata,
    wrappedKey,
    sender: dataKey.encryptText(draft.from.address, "sender"),
    subject: dataKey.encryptText(draft.subject, "subject"),
    messageBytes: message.length,
    message: await encryptMessage(dataKey, message),
    details: encryptDetails(dataKey, detailsOf(draft, places)),
    recipients: recipients.map(({ kind, mailbox }, position) => ({
      position,
      kind,
      address: dataKey.encryptText(writeMailbox(mailbox), `address:${position}`),
      addressIndex: keyRing.blindIndex(mailbox.address),
    })),
  };
  const addressees = recipients.map(({ mailbox }, position) => ({
    position,
    address: mailbox.address,
  }));
  const envelope = { from: draft.from.address, recipients: addressees };
  return { email, opened: { dataKey, envelope, message } };
}
