import { AppError } from "../errors.ts";
import type { Principal } from "./principal.ts";
import { hmacKey, principalOf, signClaims, verifyClaims } from "./token-claims.ts";

export interface AuthenticatorOptions {
  /** JWT_SECRET. */
  secret: string;
  /** null: `iss` is not looked at. */
  issuer: string | null;
  audience: string;
  now?: () => Date;
}

export interface Authenticator {
  /** Takes the `Authorization` header; rejects with `AppError` `unauthorized`. */
  authenticate(authorization: string | undefined): Promise<Principal>;
}

interface VerifiedToken {
  principal: Principal;
  expiresAt: number;
}

/** Verifying costs about 45 µs, finding a verified token none: kept until `exp`, oldest out first. */
const verifiedTokensMax = 10_000;
/** Longer ones are verified every time, so that the cache stays within some 20 MB. */
const cachedTokenLengthMax = 2_000;

export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  const { secret, issuer, audience, now = () => new Date() } = options;
  const key = hmacKey(secret);
  const verified = new Map<string, VerifiedToken>();

  async function verify(token: string): Promise<VerifiedToken> {
    const claims = await verifyClaims(token, { key, issuer, audience, now: now() });
    const principal = principalOf(claims, "jwt");
    if (principal === null) throw new Error("the claims name nobody we serve");
    return { principal: Object.freeze(principal), expiresAt: (claims.exp ?? 0) * 1000 };
  }

  return {
    authenticate: async (authorization) => {
      const token = bearerToken(authorization);
      const known = verified.get(token);
      if (known !== undefined && now().getTime() < known.expiresAt) return known.principal;
      verified.delete(token);
      const fresh = await verify(token).catch((cause: unknown) => {
        throw refused("The bearer token is not valid.", cause);
      });
      remember(verified, token, fresh);
      return fresh.principal;
    },
  };
}

function remember(verified: Map<string, VerifiedToken>, token: string, fresh: VerifiedToken): void {
  if (token.length > cachedTokenLengthMax) return;
  verified.set(token, fresh);
  const oldest = verified.size > verifiedTokensMax ? verified.keys().next().value : undefined;
  if (oldest !== undefined) verified.delete(oldest);
}

function bearerToken(authorization: string | undefined): string {
  const token = /^Bearer +([\w.~+/=-]{1,8192})$/i.exec(authorization?.trim() ?? "")?.[1];
  if (token === undefined) throw refused("Send the header Authorization: Bearer <token>.");
  return token;
}

/** One sentence for every kind of bad token: which check failed is for the log alone. */
function refused(publicDetail: string, cause?: unknown): AppError {
  return new AppError("unauthorized", { publicDetail, cause });
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
