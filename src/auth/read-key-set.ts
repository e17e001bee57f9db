import { type CryptoKey, calculateJwkThumbprint, importJWK, type JWK } from "jose";
import type { SigningKey } from "./signing-keys.ts";

const keysMax = 100;
const kidLengthMax = 255;

/**
 * The keys of a key set that we verify with: public, for signatures, P-256 or RSA, with a kid. The
 * others are passed over, as RFC 7517 asks; of two with one kid the first counts. Throws when it
 * is no key set at all.
 */
export async function readKeySet(json: unknown): Promise<ReadonlyMap<string, SigningKey>> {
  const { keys } = Object(json) as { keys?: unknown };
  if (!Array.isArray(keys)) throw new Error("the answer of JWKS_URL is no key set");
  const found = new Map<string, SigningKey>();
  for (const jwk of keys.slice(0, keysMax)) {
    const key = await readKey(Object(jwk) as JWK);
    if (key !== null && !found.has(key.kid)) found.set(key.kid, key);
  }
  return found;
}

async function readKey(jwk: JWK): Promise<SigningKey | null> {
  const algorithm = algorithmOf(jwk);
  const { kid } = jwk;
  if (algorithm === null || typeof kid !== "string" || kid === "") return null;
  if (kid.length > kidLengthMax) return null;
  try {
    const key = (await importJWK(publicPart(jwk), algorithm)) as CryptoKey;
    return { kid, algorithm, key, thumbprint: await calculateJwkThumbprint(jwk) };
  } catch {
    // A key that cannot be read verifies nothing; the others still do.
    return null;
  }
}

function algorithmOf({
  kty,
  crv,
  use,
  alg,
  key_ops: operations,
  d,
}: JWK): SigningKey["algorithm"] | null {
  // A private key that is published is no key any more.
  if (d !== undefined || (use !== undefined && use !== "sig")) return null;
  if (operations !== undefined && !operations.includes("verify")) return null;
  const algorithm = kty === "EC" && crv === "P-256" ? "ES256" : kty === "RSA" ? "RS256" : null;
  return alg === undefined || alg === algorithm ? algorithm : null;
}

/** Nothing but the numbers, so that no other member can change how the key is used. */
function publicPart({ kty, crv, x, y, n, e }: JWK): JWK {
  return kty === "RSA" ? ({ kty, n, e } as JWK) : ({ kty, crv, x, y } as JWK);
}
