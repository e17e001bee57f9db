/**
 * Content is encrypted with AES-256-GCM under one data key per email; the data key is stored
 * wrapped by a key of the ring. The AAD binds version, column, row (the email's id) and owner, and
 * that of a wrapped key the ring key's id: a ciphertext moved elsewhere does not open. Content
 * does not name the ring key again, so that a rotation re-wraps data keys and nothing else.
 */
export interface DataKey {
  /** base64url text `v1.<nonce>.<ciphertext and tag>`, for small columns. Rows of one email are told apart in the column's name (`recipients.address/2`). */
  encryptText(plaintext: string, column: string): string;
  /** Throws when the text is no ciphertext of this email and column. */
  decryptText(ciphertext: string, column: string): string;
  /** nonce (12) + ciphertext + tag (16). */
  encryptBytes(plaintext: Uint8Array, column: string): Uint8Array;
  decryptBytes(ciphertext: Uint8Array, column: string): Uint8Array;
}

export interface KeyRing {
  /** Id of the key that writes; a short hash of the key. */
  readonly currentKeyId: string;
  /** Compared with the database's at boot: a one-way fingerprint of the current key. */
  readonly fingerprint: string;
  /** Those of the keys that only read, and their ids, in the same order. */
  readonly oldFingerprints: readonly string[];
  readonly oldKeyIds: readonly string[];
  /** A fresh random data key for one email, and its wrapped form for the database. */
  createDataKey(emailId: string, ownerId: string): { dataKey: DataKey; wrappedKey: string };
  /** Throws `UnknownKeyError` when the wrapping key is not in the ring, `DecryptError` when it does not open. */
  openDataKey(wrappedKey: string, emailId: string, ownerId: string): DataKey;
  /** The same data key, wrapped by the current key; throws as `openDataKey` does. */
  rewrapDataKey(wrappedKey: string, emailId: string, ownerId: string): string;
  /** HMAC under a derived key of the address in lower case: finds equal addresses without showing them. Hex. */
  blindIndex(address: string): string;
  /** The same for texts of another kind, which is bound in: finds equal ones. Hex. Another current key gives another index. */
  blindIndexOf(kind: string, text: string): string;
  /**
   * What a search looks for: `blindIndex` under every key of the ring, the current one first, and
   * the same as versions before 2026-11-30 stored it, with the letter case before the @.
   */
  blindIndexes(address: string): string[];
  blindIndexesOf(kind: string, text: string): string[];
  /** Encrypts directly under a derived key of the ring (stored answers of idempotent requests). */
  encryptText(plaintext: string, context: string): string;
  decryptText(ciphertext: string, context: string): string;
}
