import { decrypt, encrypt } from "./aes-gcm.ts";
import { DecryptError } from "./decrypt-error.ts";
import type { DataKey } from "./key-ring.ts";

/**
 * The data key of one email. The id of the wrapping key is bound where the data key is wrapped
 * and not again here, so that a rotation re-wraps 32 bytes instead of encrypting content anew.
 */
export function createDataKey(key: Uint8Array, emailId: string, ownerId: string): DataKey {
  const place = (column: string) => placeOf(column, emailId, ownerId);
  return {
    encryptText: (plaintext, column) =>
      joinText([], encrypt(key, Buffer.from(plaintext), place(column))),
    decryptText: (text, column) => decrypt(key, splitText(text, 0).body, place(column)).toString(),
    encryptBytes: (plaintext, column) => encrypt(key, plaintext, place(column)),
    decryptBytes: (ciphertext, column) => decrypt(key, ciphertext, place(column)),
  };
}

/** Where a ciphertext belongs, as authenticated data. JSON, so that no two places look alike. */
export function placeOf(...parts: string[]): string {
  return JSON.stringify(["v1", ...parts]);
}

/** `v1.<labels…>.<nonce>.<ciphertext and tag>`. */
export function joinText(labels: string[], ciphertext: Buffer): string {
  const text = ciphertext.toString("base64url");
  // The 12 bytes of the nonce are 16 characters, and nothing of what follows is in them.
  return ["v1", ...labels, text.slice(0, 16), text.slice(16)].join(".");
}

export function splitText(text: string, labelCount: number): { labels: string[]; body: Buffer } {
  const parts = text.split(".");
  const isOurs = parts[0] === "v1" && parts.length === labelCount + 3;
  if (!isOurs || !/^[\w.-]+$/.test(text)) throw new DecryptError("a text of another form");
  const [nonce = "", rest = ""] = parts.slice(-2);
  const body = Buffer.concat([Buffer.from(nonce, "base64url"), Buffer.from(rest, "base64url")]);
  return { labels: parts.slice(1, -2), body };
}
