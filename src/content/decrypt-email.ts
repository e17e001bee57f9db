import { DecryptError, UnknownKeyError } from "../crypto/decrypt-error.ts";
import type { DataKey, KeyRing } from "../crypto/key-ring.ts";
import { readMailbox } from "../email/mailbox.ts";
import { AppError } from "../errors.ts";
import type { StoredAttempt, StoredEmail, StoredRecipient } from "../store/stored-email.ts";

/** What a person needs to decide about an email, never its body. Null where it was shredded. */
export interface DecryptedEmail {
  subject: string | null;
  /** Address without the display name. */
  recipients: StoredRecipient[];
  attempts: StoredAttempt[];
  /** Why a part of it does not open; such a part is null. Absent: all of it does. */
  fault?: DecryptError | UnknownKeyError;
}

/**
 * Subject, addresses and replies in clear. A ciphertext that was changed, moved, or is of a key
 * that is not in the ring never throws: one such email must not hide all the others of a list.
 */
export function decryptEmail(email: StoredEmail, keyRing: KeyRing): DecryptedEmail {
  let fault: DecryptedEmail["fault"];
  const attempt = <T>(decrypt: () => T): T | null => {
    try {
      return decrypt();
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      fault ??= error;
      return null;
    }
  };
  const dataKey = attempt(() => openDataKeyOf(email, keyRing));
  const open = (ciphertext: string | null, column: string) =>
    dataKey && ciphertext !== null ? attempt(() => dataKey.decryptText(ciphertext, column)) : null;
  const decrypted = {
    subject: open(email.subject, "subject"),
    recipients: email.recipients.map((recipient) => {
      const mailbox = open(recipient.address, `address:${recipient.position}`);
      return {
        ...recipient,
        address: mailbox === null ? null : readMailbox(mailbox).address,
        reply: open(recipient.reply, `reply:${recipient.position}`),
      };
    }),
    attempts: email.attempts.map((one) => ({
      ...one,
      reply: open(one.reply, `attempt:${one.number}:reply`),
    })),
  };
  return fault === undefined ? decrypted : { ...decrypted, fault };
}

/** Null once shredded. Throws when the email's key is not in the ring or does not open. */
export function openDataKeyOf(
  { wrappedKey, id, ownerId }: StoredEmail,
  keyRing: KeyRing,
): DataKey | null {
  return wrappedKey === null ? null : keyRing.openDataKey(wrappedKey, id, ownerId);
}

/** For who asks for content itself: throws `content_unreadable`, which names what is to be done. */
export function orUnreadable<T>(open: () => T): T {
  try {
    return open();
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    throw new AppError("content_unreadable", {
      publicDetail:
        "The stored content does not decrypt: its encryption key is missing, or it was changed outside " +
        "this service. The log of the service says which.",
      cause: error,
    });
  }
}

export function isUnreadable(error: unknown): error is DecryptError | UnknownKeyError {
  return error instanceof DecryptError || error instanceof UnknownKeyError;
}
