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
  return {
    currentKeyId: currentKey.id,
    fingerprint: currentKey.fingerprint,
    createDataKey: (emailId, ownerId) => {
      const key = randomBytes(32);
      const wrapped = encrypt(currentKey.wrapKey, key, wrapPlace(currentKey.id, emailId, ownerId));
      return {
        dataKey: createDataKey(key, emailId, ownerId),
        wrappedKey: joinText([currentKey.id], wrapped),
      };
    },
    openDataKey: (wrappedKey, emailId, ownerId) => {
      const { id, body } = splitKeyed(wrappedKey);
      const { wrapKey } = find(keys, id);
      return createDataKey(
        decrypt(wrapKey, body, wrapPlace(id, emailId, ownerId)),
        emailId,
        ownerId,
      );
    },
    blindIndex: (address) =>
      createHmac("sha256", currentKey.indexKey).update(withLowerDomain(address)).digest("hex"),
    blindIndexOf: (kind, text) =>
      createHmac("sha256", currentKey.indexKey).update(placeOf(kind, text)).digest("hex"),
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
