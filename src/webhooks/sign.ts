import { randomBytes } from "node:crypto";
import { Webhook } from "standardwebhooks";

/** 24 to 64 bytes, as Standard Webhooks asks for; base64 behind its prefix. */
const secretBytes = 32;
const secretPrefix = "whsec_";

/** A new secret as its owner is shown it, once. */
export function createSecret(): string {
  return secretPrefix + randomBytes(secretBytes).toString("base64");
}

/** Signs with one secret after another; keeps what a secret was read into. */
export type Signer = (id: string, at: Date, body: string) => string;

/** Each secret's signature, the current one's first, as `webhook-signature` takes them. */
export function createSigner(secrets: readonly string[]): Signer {
  const keys = secrets.map((secret) => new Webhook(secret));
  return (id, at, body) => keys.map((key) => key.sign(id, at, body)).join(" ");
}

/** The three headers of Standard Webhooks 1.0.0. */
export function signedHeaders(
  sign: Signer,
  { id, at, body }: { id: string; at: Date; body: string },
): Record<string, string> {
  return {
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
    "webhook-signature": sign(id, at, body),
  };
}
