import { createHmac, randomBytes } from "node:crypto";
import { decrypt, encrypt } from "./aes-gcm.ts";
import { createDataKey, joinText, placeOf, splitText } from "./data-key.ts";
import { UnknownKeyError } from "./decrypt-error.ts";
import type { KeyRing } from "./key-ring.ts";
import type { RingKey } from "./ring-key.ts";
import { createRingKey } from "./ring-key.ts";

export interface KeyRingOptions {
  /** ENCRYPTION_KEY: writes and reads. */
  current: string;
  /** ENCRYPTION_KEYS_OLD: read only. */
  old: readonly string[];
}

/** Everything here is synchronous: a call costs microseconds, passphrases 0.1 s once. */
export function createKeyRing({ current, old }: KeyRingOptions): KeyRing {
  const currentKey = createRingKey(current);
  const keys = new Map(old.map(createRingKey).map((key) => [key.id, key]));
  keys.set(currentKey.id, currentKey);
  const oldKeys = [...keys.values()].filter((key) => key !== currentKey);
  const openKey = (wrappedKey: string, emailId: string, ownerId: string) => {
    const { id, body } = splitKeyed(wrappedKey);
    return decrypt(find(keys, id).wrapKey, body, wrapPlace(id, emailId, ownerId));
  };
  const wrap = (key: Uint8Array, emailId: string, ownerId: string) => {
    const place = wrapPlace(currentKey.id, emailId, ownerId);
    return joinText([currentKey.id], encrypt(currentKey.wrapKey, key, place));
  };

  return {
    currentKeyId: currentKey.id,
    fingerprint: currentKey.fingerprint,
    oldFingerprints: oldKeys.map(({ fingerprint }) => fingerprint),
    oldKeyIds: oldKeys.map(({ id }) => id),
    createDataKey: (emailId, ownerId) => {
      const key = randomBytes(32);
      return {
        dataKey: createDataKey(key, emailId, ownerId),
        wrappedKey: wrap(key, emailId, ownerId),
      };
    },
    openDataKey: (wrappedKey, emailId, ownerId) =>
      createDataKey(openKey(wrappedKey, emailId, ownerId), emailId, ownerId),
    rewrapDataKey: (wrappedKey, emailId, ownerId) =>
      wrap(openKey(wrappedKey, emailId, ownerId), emailId, ownerId),
    ...createIndexes([currentKey, ...oldKeys]),
    encryptText: (plaintext, context) => {
      const place = placeOf(currentKey.id, "text", context);
      return joinText([currentKey.id], encrypt(currentKey.textKey, Buffer.from(plaintext), place));
    },
    decryptText: (ciphertext, context) => {
      const { id, body } = splitKeyed(ciphertext);
      return decrypt(find(keys, id).textKey, body, placeOf(id, "text", context)).toString();
    },
  };
}

/** The first key's index is the one that is stored with what is written now. */
function createIndexes(
  ringKeys: RingKey[],
): Pick<KeyRing, "blindIndex" | "blindIndexOf" | "blindIndexes" | "blindIndexesOf"> {
  const indexes = (text: string) =>
    ringKeys.map(({ indexKey }) => createHmac("sha256", indexKey).update(text).digest("hex"));
  const indexesOf = (kind: string, text: string) => indexes(placeOf(kind, text));
  return {
    blindIndex: (address) => indexes(address.toLowerCase())[0] ?? "",
    // Before 2026-11-30 an address was indexed with the letter case before its @.
    blindIndexes: (address) => [
      ...new Set([...indexes(address.toLowerCase()), ...indexes(withLowerDomain(address))]),
    ],
    blindIndexOf: (kind, text) => indexesOf(kind, text)[0] ?? "",
    blindIndexesOf: indexesOf,
  };
}

function wrapPlace(keyId: string, emailId: string, ownerId: string): string {
  return placeOf(keyId, "data key", emailId, ownerId);
}

function splitKeyed(text: string): { id: string; body: Buffer } {
  const { labels, body } = splitText(text, 1);
  return { id: labels[0] ?? "", body };
}

function find(keys: ReadonlyMap<string, RingKey>, keyId: string): RingKey {
  const key = keys.get(keyId);
  if (!key) throw new UnknownKeyError(keyId);
  return key;
}

function withLowerDomain(address: string): string {
  const at = address.lastIndexOf("@");
  return address.slice(0, at + 1) + address.slice(at + 1).toLowerCase();
}
