import { hkdfSync, scryptSync } from "node:crypto";

/** One ENCRYPTION_KEY, split into keys that serve one purpose each. */
export interface RingKey {
  /** 12 hex digits; stored beside every ciphertext to find the key again. */
  readonly id: string;
  readonly fingerprint: string;
  readonly wrapKey: Uint8Array;
  readonly indexKey: Uint8Array;
  readonly textKey: Uint8Array;
  /** Seed of the Ed25519 key that signs the journal's checkpoints. */
  readonly signKey: Uint8Array;
}

/**
 * 64 hex digits and base64 of 32 bytes are the key itself; any other text is a passphrase and
 * goes through scrypt (about 0.1 s, once). Its salt is fixed, because the same text must give
 * the same key on every machine: a passphrase should therefore be long.
 */
export function createRingKey(keyText: string): RingKey {
  const master = masterKey(keyText.trim());
  return {
    id: Buffer.from(derive(master, "key id", 6)).toString("hex"),
    fingerprint: Buffer.from(derive(master, "fingerprint", 16)).toString("hex"),
    wrapKey: derive(master, "wrap data keys", 32),
    indexKey: derive(master, "blind index", 32),
    textKey: derive(master, "encrypt texts", 32),
    signKey: derive(master, "sign checkpoints", 32),
  };
}

const passphraseSalt = "taskforce-mailer/encryption-key/v1";
/** 32 MiB of memory; Node's own bound of the same size is a hair too low. */
const scryptCost = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 };

function masterKey(keyText: string): Uint8Array {
  if (/^[0-9a-f]{64}$/i.test(keyText)) return Buffer.from(keyText, "hex");
  if (/^[\w+/-]{43}=?$/.test(keyText)) return Buffer.from(keyText, "base64");
  if (keyText.length < 16) throw new RangeError("an encryption key needs 16 characters or more");
  return scryptSync(keyText, passphraseSalt, 32, scryptCost);
}

function derive(master: Uint8Array, purpose: string, lengthBytes: number): Uint8Array {
  const info = `taskforce-mailer/v1/${purpose}`;
  return new Uint8Array(hkdfSync("sha256", master, new Uint8Array(0), info, lengthBytes));
}
