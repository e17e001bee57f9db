/** A ciphertext that does not open: changed, cut, moved to another place, or of another key. */
export class DecryptError extends Error {
  constructor(what: string) {
    super(`cannot decrypt ${what}: it was changed, moved or belongs to another key`);
    this.name = "DecryptError";
  }
}

/** The key that encrypted it is not in the ring: add it to ENCRYPTION_KEYS_OLD. */
export class UnknownKeyError extends Error {
  readonly keyId: string;

  constructor(keyId: string) {
    super(`encryption key ${keyId} is neither ENCRYPTION_KEY nor one of ENCRYPTION_KEYS_OLD`);
    this.name = "UnknownKeyError";
    this.keyId = keyId;
  }
}
