import { createSecretKey, type KeyObject } from "node:crypto";
import type { JWTPayload } from "jose";
import { jwtVerify, SignJWT } from "jose";
import { isOwnerId, type Principal } from "./principal.ts";

/** Clocks of two machines differ a little; more than this is a fault of theirs. */
const toleranceSeconds = 5;

export interface VerifyOptions {
  key: KeyObject;
  issuer: string | null;
  audience: string;
  now: Date;
}

/** Rejects unless signature, algorithm, times, audience and the required claims are right. */
export async function verifyClaims(token: string, options: VerifyOptions): Promise<JWTPayload> {
  const { key, issuer, audience, now } = options;
  const { payload } = await jwtVerify(token, key, {
    algorithms: ["HS256"],
    audience,
    requiredClaims: ["exp", "iat", "sub", "aud"],
    clockTolerance: toleranceSeconds,
    currentDate: now,
    ...(issuer === null ? {} : { issuer }),
  });
  return payload;
}

/**
 * Null when the claims name nobody we serve. `user_metadata` is never read: users of Supabase
 * write it themselves.
 */
export function principalOf(
  claims: JWTPayload,
  credential: Principal["credential"],
): Principal | null {
  if (!isOwnerId(claims.sub) || claims.role === "anon") return null;
  const metadata: unknown = claims.app_metadata;
  const metadataRole = (Object(metadata) as { role?: unknown }).role;
  const isAdmin = claims.role === "admin" || metadataRole === "admin";
  return { ownerId: claims.sub, isAdmin, credential };
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
