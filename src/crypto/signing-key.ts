import { createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import { createRingKey } from "./ring-key.ts";

/** An Ed25519 key pair (RFC 8032). */
export interface SigningKey {
  /** base64 of 32 bytes. */
  readonly publicKey: string;
  /** base64 of 64 bytes over the text in UTF-8. */
  sign(text: string): string;
}

// DER of PKCS #8 and SubjectPublicKeyInfo around 32 bytes of Ed25519 (RFC 8410).
const privatePrefix = Buffer.from("302e020100300506032b657004220420", "hex");
const publicPrefix = Buffer.from("302a300506032b6570032100", "hex");

/**
 * From AUDIT_SIGNING_KEY (64 hex digits or base64 of 32 bytes), or derived from ENCRYPTION_KEY, so
 * that every process signs alike and nothing more has to be kept. A holder of the key can sign
 * another history; a holder of the database alone cannot.
 */
export function createSigningKey(secrets: {
  auditSigningKey: string | null;
  encryptionKey: string;
}): SigningKey {
  const { auditSigningKey: text, encryptionKey } = secrets;
  const seed =
    text === null
      ? createRingKey(encryptionKey).signKey
      : Buffer.from(text, /^[0-9a-f]{64}$/i.test(text) ? "hex" : "base64");
  const key = createPrivateKey({
    key: Buffer.concat([privatePrefix, seed]),
    format: "der",
    type: "pkcs8",
  });
  const spki = createPublicKey(key).export({ format: "der", type: "spki" });
  return {
    publicKey: spki.subarray(publicPrefix.length).toString("base64"),
    sign: (signed) => sign(null, Buffer.from(signed), key).toString("base64"),
  };
}

/** False also for a key or signature that is none. */
export function checkSignature(text: string, signature: string, publicKey: string): boolean {
  const raw = Buffer.from(publicKey, "base64");
  if (raw.length !== 32) return false;
  try {
    const key = createPublicKey({
      key: Buffer.concat([publicPrefix, raw]),
      format: "der",
      type: "spki",
    });
    return verify(null, Buffer.from(text), key, Buffer.from(signature, "base64"));
  } catch {
    // No point of the curve: no key signed it.
    return false;
  }
}
