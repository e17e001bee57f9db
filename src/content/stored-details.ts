import type { DataKey, KeyRing } from "../crypto/key-ring.ts";
import type { EmailDetails, StoredDetails } from "../email/email-details.ts";
import { readBody } from "../mail/read-body.ts";
import type { WholeEmail } from "../store/stored-email.ts";
import { isUnreadable, openDataKeyOf } from "./decrypt-email.ts";
import { decryptMessage } from "./stored-message.ts";

const column = "details";

export function encryptDetails(dataKey: DataKey, details: StoredDetails): string {
  return dataKey.encryptText(JSON.stringify(details), column);
}

/**
 * The caller's fields; null once shredded, or when the details were not read. Throws as
 * `decryptText` does. The message is needed too when `isMessageNeeded` says so.
 */
export function openDetails(email: WholeEmail, keyRing: KeyRing): EmailDetails | null {
  const opened = open(email, keyRing);
  if (!opened) return null;
  const { details, places } = opened.stored;
  if (Object.keys(places).length === 0) return details;
  const { message: ciphertext, messageBytes } = email;
  if (!ciphertext) throw new Error("the bodies are in the message, which was not read");
  const message = decryptMessage(opened.dataKey, { message: ciphertext, messageBytes });
  return {
    ...details,
    body: places.body ? readBody(message, places.body) : details.body,
    htmlBody: places.htmlBody ? readBody(message, places.htmlBody) : details.htmlBody,
  };
}

/** The same without the bodies that are in the message alone, so that it is never needed. */
export function openDetailsWithoutBodies(email: WholeEmail, keyRing: KeyRing): EmailDetails | null {
  return open(email, keyRing)?.stored.details ?? null;
}

/** Whether a body is in the message alone. False when the details do not open: nor does it. */
export function isMessageNeeded(email: WholeEmail, keyRing: KeyRing): boolean {
  try {
    return Object.keys(open(email, keyRing)?.stored.places ?? {}).length > 0;
  } catch (error) {
    if (isUnreadable(error)) return false;
    throw error;
  }
}

function open(email: WholeEmail, keyRing: KeyRing) {
  const dataKey = openDataKeyOf(email, keyRing);
  if (!dataKey || email.details === null) return null;
  const json: EmailDetails | StoredDetails = JSON.parse(dataKey.decryptText(email.details, column));
  const stored: StoredDetails = "places" in json ? json : { details: json, places: {} };
  return { dataKey, stored };
}
