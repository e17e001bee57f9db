import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { DecryptError } from "./decrypt-error.ts";

const algorithm = "aes-256-gcm";
/** 96 bits, as NIST SP 800-38D recommends; random, so one key serves up to 2^32 texts. */
const nonceBytes = 12;
const tagBytes = 16;

/** nonce (12) + ciphertext + tag (16). `place` is authenticated, not stored. */
export function encrypt(key: Uint8Array, plaintext: Uint8Array, place: string): Buffer {
  // Drawn for each call: what was drawn ahead would be drawn again by a copy of a machine that was
  // stopped and resumed twice, and one nonce twice under one key gives both texts away.
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv(algorithm, key, nonce, { authTagLength: tagBytes });
  cipher.setAAD(Buffer.from(place));
  const body = cipher.update(plaintext);
  return Buffer.concat([nonce, body, cipher.final(), cipher.getAuthTag()]);
}

/** Throws `DecryptError`, and returns nothing at all, unless every bit is as it was written. */
export function decrypt(key: Uint8Array, ciphertext: Uint8Array, place: string): Buffer {
  if (ciphertext.length < nonceBytes + tagBytes) throw new DecryptError("a text that is too short");
  const bodyEnd = ciphertext.length - tagBytes;
  const nonce = ciphertext.subarray(0, nonceBytes);
  const decipher = createDecipheriv(algorithm, key, nonce, { authTagLength: tagBytes });
  decipher.setAAD(Buffer.from(place));
  decipher.setAuthTag(ciphertext.subarray(bodyEnd));
  try {
    const body = decipher.update(ciphertext.subarray(nonceBytes, bodyEnd));
    return Buffer.concat([body, decipher.final()]);
  } catch {
    // The library's words say less than ours, and nothing of what went wrong may be told apart.
    throw new DecryptError("a stored text");
  }
}
