import { decodeProtectedHeader, type JWTPayload } from "jose";
import { isAppError } from "../errors.ts";
import { isApiKey } from "./api-key.ts";
import type { ApiKeyCheck } from "./api-key-check.ts";
import type { Principal } from "./principal.ts";
import { missingCredential, reasonOf, refusedCredential } from "./refusal.ts";
import type { SigningKey, SigningKeys } from "./signing-keys.ts";
import { hmacKey, principalOf, signClaims, verifyClaims } from "./token-claims.ts";

export interface AuthenticatorOptions {
  /** JWT_SECRET. */
  secret: string;
  /** null: `iss` is not looked at. */
  issuer: string | null;
  audience: string;
  /** Of JWKS_URL; absent: only tokens signed with the secret count. */
  signingKeys?: SigningKeys | undefined;
  /** Absent: no API key counts. */
  apiKeys?: ApiKeyCheck | undefined;
  now?: () => Date;
}

export interface Authenticator {
  /** Takes the `Authorization` header; rejects with `AppError` `unauthorized`. */
  authenticate(authorization: string | undefined): Promise<Principal>;
}

interface VerifiedToken {
  principal: Principal;
  expiresAt: number;
  /** null: JWT_SECRET. */
  signingKey: SigningKey | null;
}

/** Verifying costs about 45 µs, finding a verified token none: kept until `exp`, oldest out first. */
const verifiedTokensMax = 10_000;
/** Longer ones are verified every time, so that the cache stays within some 20 MB. */
const cachedTokenLengthMax = 2_000;

/**
 * Which key verifies a token is decided by its header, from two sets that share none: HS256 by the
 * secret alone, ES256 and RS256 by the public keys of JWKS_URL alone, each with its own algorithm.
 * Nothing else in the header (`jku`, `x5u`, `jwk`, a path in `kid`) leads anywhere.
 */
export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  const { secret, issuer, audience, signingKeys, apiKeys, now = () => new Date() } = options;
  const key = hmacKey(secret);
  const verified = new Map<string, VerifiedToken>();

  async function verify(token: string): Promise<VerifiedToken> {
    const { alg, kid } = decodeProtectedHeader(token);
    const asked = { issuer, audience, now: now() };
    if (alg !== "ES256" && alg !== "RS256") {
      const claims = await verifyClaims(token, { ...asked, key, algorithm: "HS256" });
      return verifiedToken(claims, null);
    }
    if (signingKeys === undefined) throw refusedCredential("algorithm");
    const signingKey = typeof kid === "string" ? await signingKeys.find(kid) : null;
    if (signingKey === null) throw refusedCredential("signing_key");
    const claims = await verifyClaims(token, { ...asked, ...signingKey });
    return verifiedToken(claims, signingKey);
  }

  /** Until it expires, and as long as its key is still in the set and not dropped. */
  async function stillCounts({ expiresAt, signingKey }: VerifiedToken): Promise<boolean> {
    if (now().getTime() >= expiresAt) return false;
    if (signingKey === null) return true;
    const found = await signingKeys?.find(signingKey.kid);
    return found?.thumbprint === signingKey.thumbprint;
  }

  async function authenticateToken(token: string): Promise<Principal> {
    const known = verified.get(token);
    if (known !== undefined && (await stillCounts(known))) return known.principal;
    verified.delete(token);
    const fresh = await verify(token).catch((cause: unknown) => {
      throw isAppError(cause) ? cause : refusedCredential(reasonOf(cause), cause);
    });
    remember(verified, token, fresh);
    return fresh.principal;
  }

  return {
    authenticate: async (authorization) => {
      const token = bearerToken(authorization);
      if (!isApiKey(token)) return await authenticateToken(token);
      if (apiKeys === undefined) throw refusedCredential("api_key_unknown");
      return await apiKeys.authenticate(token);
    },
  };
}

function verifiedToken(claims: JWTPayload, signingKey: SigningKey | null): VerifiedToken {
  const principal = principalOf(claims, "jwt", { isOurs: signingKey === null });
  if (principal === null) throw refusedCredential("nobody");
  const expiresAt = (claims.exp ?? 0) * 1000;
  return { principal: Object.freeze(principal), expiresAt, signingKey };
}

function remember(verified: Map<string, VerifiedToken>, token: string, fresh: VerifiedToken): void {
  if (token.length > cachedTokenLengthMax) return;
  verified.set(token, fresh);
  const oldest = verified.size > verifiedTokensMax ? verified.keys().next().value : undefined;
  if (oldest !== undefined) verified.delete(oldest);
}

function bearerToken(authorization: string | undefined): string {
  const given = authorization?.trim() ?? "";
  const token = /^Bearer +([\w.~+/=-]{1,8192})$/i.exec(given)?.[1];
  if (token === undefined) throw missingCredential(given === "" ? "missing" : "malformed");
  return token;
}

export interface IssueTokenOptions {
  sub: string;
  role?: "admin";
  ttlSeconds: number;
  secret: string;
  audience: string;
  issuer: string | null;
  now?: Date;
}

/** A token that `createAuthenticator` with the same settings accepts. */
export async function issueToken({ secret, now, ...options }: IssueTokenOptions): Promise<string> {
  return await signClaims({ ...options, key: hmacKey(secret), now: now ?? new Date() });
}
