import { DecryptError, UnknownKeyError } from "../crypto/decrypt-error.ts";
import type { KeyRing } from "../crypto/key-ring.ts";
import { readMailbox } from "../email/mailbox.ts";
import type { StoredEvent } from "../store/events.ts";

/** An event as callers get it: the same in lists, live and by webhook. Never content. */
export interface PublicEvent {
  type: string;
  /** UTC with milliseconds. */
  timestamp: string;
  data: {
    email_id: string;
    /** Orders the events of one email; gapless, counting those that are not told too. */
    sequence: number;
    status: string;
    /** The attempt's number; absent when the event belongs to none. */
    attempt?: number;
    /** The address that the event is about; absent when it is about none alone, or shredded. */
    recipient?: string;
    smtp_code?: number;
    /** What the next hop said. */
    reply?: string;
    tags: string[];
    metadata: Record<string, unknown>;
  };
}

/** Makes the payload of an entry. A ciphertext that does not open is left out. */
export function publicEvent(event: StoredEvent, keyRing: KeyRing): PublicEvent {
  const { detail, emailId, sequence } = event;
  const { attempt, smtp_code: smtpCode } = detail;
  const { recipient, reply } = openTexts(event, keyRing);
  return {
    type: event.action,
    timestamp: event.at.toISOString(),
    data: {
      email_id: emailId ?? "",
      sequence: sequence ?? 0,
      status: String(detail.status),
      ...(typeof attempt === "number" && { attempt }),
      ...(recipient !== null && { recipient }),
      ...(typeof smtpCode === "number" && { smtp_code: smtpCode }),
      ...(reply !== null && { reply }),
      tags: event.tags,
      metadata: event.metadata,
    },
  };
}

/** Address and reply in clear; null: there is none, or it does not open. */
function openTexts(event: StoredEvent, keyRing: KeyRing) {
  const { wrappedKey, emailId, ownerId, address, reply, detail } = event;
  const closed = { recipient: null, reply: null };
  if (wrappedKey === null || emailId === null || (address === null && reply === null)) {
    return closed;
  }
  const place = detail.recipient;
  try {
    const key = keyRing.openDataKey(wrappedKey, emailId, ownerId);
    const column = place === undefined ? `attempt:${detail.attempt}:reply` : `reply:${place}`;
    return {
      recipient: address && readMailbox(key.decryptText(address, `address:${place}`)).address,
      reply: reply && key.decryptText(reply, column),
    };
  } catch (error) {
    if (error instanceof DecryptError || error instanceof UnknownKeyError) return closed;
    throw error;
  }
}
