import type { KeyRing } from "../crypto/key-ring.ts";
import { readMailbox } from "../email/mailbox.ts";
import type { StoredAttempt, StoredEmail, StoredRecipient } from "../store/stored-email.ts";

/** What a person needs to decide about an email, never its body. Null where it was shredded. */
export interface DecryptedEmail {
  subject: string | null;
  /** Address without the display name. */
  recipients: StoredRecipient[];
  attempts: StoredAttempt[];
}

/** Subject, addresses and replies in clear. Throws when the email's key is not in the ring. */
export function decryptEmail(email: StoredEmail, keyRing: KeyRing): DecryptedEmail {
  const { id, ownerId, wrappedKey } = email;
  const dataKey = wrappedKey === null ? null : keyRing.openDataKey(wrappedKey, id, ownerId);
  const open = (ciphertext: string | null, column: string) =>
    dataKey && ciphertext !== null ? dataKey.decryptText(ciphertext, column) : null;
  return {
    subject: open(email.subject, "subject"),
    recipients: email.recipients.map((recipient) => {
      const mailbox = open(recipient.address, `address:${recipient.position}`);
      return {
        ...recipient,
        address: mailbox === null ? null : readMailbox(mailbox).address,
        reply: open(recipient.reply, `reply:${recipient.position}`),
      };
    }),
    attempts: email.attempts.map((attempt) => ({
      ...attempt,
      reply: open(attempt.reply, `attempt:${attempt.number}:reply`),
    })),
  };
}
