import { createSecretKey, type KeyObject } from "node:crypto";
import type { CryptoKey, JWTPayload } from "jose";
import { errors, jwtVerify, SignJWT } from "jose";
import { isOwnerId } from "./principal.ts";

/** Clocks of two machines differ a little; more than this is a fault of theirs. */
const toleranceSeconds = 5;

export interface VerifyOptions {
  key: KeyObject | CryptoKey;
  /** The one that belongs to the key; never the token's choice. */
  algorithm: "HS256" | "ES256" | "RS256";
  issuer: string | null;
  audience: string;
  now: Date;
}

/** Rejects unless signature, algorithm, times, audience and the required claims are right. */
export async function verifyClaims(token: string, options: VerifyOptions): Promise<JWTPayload> {
  const { key, algorithm, issuer, audience, now } = options;
  const { payload } = await jwtVerify(token, key, {
    algorithms: [algorithm],
    audience,
    requiredClaims: ["exp", "iat", "sub", "aud"],
    clockTolerance: toleranceSeconds,
    currentDate: now,
    ...(issuer === null ? {} : { issuer }),
  });
  // jose asks only that it is a number; one from the future was made up, or by a wrong clock.
  if ((payload.iat ?? 0) > now.getTime() / 1000 + toleranceSeconds) {
    throw new errors.JWTClaimValidationFailed(
      "issued in the future",
      payload,
      "iat",
      "check_failed",
    );
  }
  return payload;
}

/**
 * The same by HMAC, with the first of `keys` that signed the token. Only a wrong signature leads on
 * to the next: claims are looked at once a signature is right, and then they decide.
 */
export async function verifyByAnyOf(
  keys: readonly [KeyObject, ...KeyObject[]],
  token: string,
  options: Omit<VerifyOptions, "key" | "algorithm">,
): Promise<{ claims: JWTPayload; secretKey: KeyObject }> {
  const [secretKey, next, ...rest] = keys;
  try {
    const asked = { ...options, key: secretKey, algorithm: "HS256" } as const;
    return { claims: await verifyClaims(token, asked), secretKey };
  } catch (error) {
    const isOthers = error instanceof errors.JWSSignatureVerificationFailed;
    if (next === undefined || !isOthers) throw error;
    return await verifyByAnyOf([next, ...rest], token, options);
  }
}

export interface TokenOptions {
  sub: string;
  role?: "admin";
  ttlSeconds: number;
  key: KeyObject;
  audience: string;
  issuer: string | null;
  now: Date;
}

export async function signClaims(options: TokenOptions): Promise<string> {
  if (!isOwnerId(options.sub)) throw new RangeError("sub must be 1 to 255 characters");
  const issuedAt = Math.floor(options.now.getTime() / 1000);
  const token = new SignJWT(options.role === undefined ? {} : { role: options.role })
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setSubject(options.sub)
    .setAudience(options.audience)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + options.ttlSeconds);
  return await (options.issuer === null ? token : token.setIssuer(options.issuer)).sign(
    options.key,
  );
}

export function hmacKey(secret: string): KeyObject {
  return createSecretKey(secret, "utf8");
}
