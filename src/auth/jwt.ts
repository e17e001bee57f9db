import type { KeyObject } from "node:crypto";
import { decodeProtectedHeader, type JWTPayload } from "jose";
import { isAppError } from "../errors.ts";
import { isApiKey } from "./api-key.ts";
import type { ApiKeyCheck } from "./api-key-check.ts";
import { type ClaimRules, principalOf } from "./claim-rules.ts";
import type { Principal } from "./principal.ts";
import { missingCredential, reasonOf, refusedCredential } from "./refusal.ts";
import type { SigningKey, SigningKeys } from "./signing-keys.ts";
import { hmacKey, signClaims, verifyByAnyOf, verifyClaims } from "./token-claims.ts";

/** What tokens are signed with (HS256). */
export interface JwtSecrets {
  /** JWT_SECRET; null: no token is signed here. */
  current: string | null;
  /** JWT_SECRETS_OLD: tokens that these signed still count, and nothing is signed with them. */
  former: readonly string[];
}

export interface AuthenticatorOptions {
  /** JWT_SECRET; null: no token signed with a secret counts. */
  secret: string | null;
  /** JWT_SECRETS_OLD; default: none. */
  formerSecrets?: readonly string[];
  /** null: `iss` is not looked at. */
  issuer: string | null;
  audience: string;
  /** Of JWKS_URL; absent: only tokens signed with the secret count. */
  signingKeys?: SigningKeys | undefined;
  /** Absent: no API key counts. */
  apiKeys?: ApiKeyCheck | undefined;
  /** Default: an admin's token needs `aal2` where it has an `aal`, and every user is allowed. */
  rules?: ClaimRules | undefined;
  /**
   * From when on an owner's tokens count, for owners whose earlier ones were ended. Default:
   * nobody's were.
   */
  tokensEndedAt?: (() => Promise<ReadonlyMap<string, Date>>) | undefined;
  /**
   * Told once of each token by which an issuer says that its bearer is no admin; what it throws
   * concerns nobody, and the same token is told of again.
   */
  onNoAdmin?: ((ownerId: string, issuedAt: Date) => Promise<void>) | undefined;
  now?: () => Date;
}

export interface Authenticator {
  /**
   * Takes the `Authorization` header; rejects with `AppError` `unauthorized`. `mayGuess`: see
   * `ApiKeyCheck`.
   */
  authenticate(authorization: string | undefined, mayGuess?: () => void): Promise<Principal>;
  /** The same of a token by itself, which an API key is not, with what it rests on. */
  verify(token: string): Promise<VerifiedToken>;
}

export interface VerifiedToken {
  principal: Principal;
  /** Milliseconds since 1970, as `iat` and `exp` say. */
  issuedAt: number;
  expiresAt: number;
  /** null: a secret of ours, which `secretKey` holds. */
  signingKey: SigningKey | null;
  /** JWT_SECRET, or the one of JWT_SECRETS_OLD that signed it; null: `signingKey` did. */
  secretKey: KeyObject | null;
}

const everyUser: ClaimRules = { adminAal: "aal2", ownersAllowed: null };
const nobodysEnded: ReadonlyMap<string, Date> = new Map();

/** Verifying costs about 45 µs, finding a verified token none: kept until `exp`, oldest out first. */
const verifiedTokensMax = 10_000;
/** Longer ones are verified every time, so that the cache stays within some 20 MB. */
const cachedTokenLengthMax = 2_000;

/**
 * Which key verifies a token is decided by its header, from two sets that share none: HS256 by the
 * secrets alone, ES256 and RS256 by the public keys of JWKS_URL alone, each with its own algorithm.
 * Nothing else in the header (`jku`, `x5u`, `jwk`, a path in `kid`) leads anywhere.
 */
export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  const { secret, formerSecrets = [], issuer, audience, signingKeys, apiKeys } = options;
  const { rules = everyUser } = options;
  const { now = () => new Date(), tokensEndedAt = async () => nobodysEnded, onNoAdmin } = options;
  // Never a key of no characters: everybody knows that one.
  const secrets = [secret ?? "", ...formerSecrets].filter((each) => each !== "");
  const [first, ...others] = secrets.map(hmacKey);
  const verified = new Map<string, VerifiedToken>();

  async function verify(token: string): Promise<VerifiedToken> {
    const { alg, kid } = decodeProtectedHeader(token);
    const asked = { issuer, audience, now: now() };
    if (alg !== "ES256" && alg !== "RS256") {
      if (first === undefined) throw refusedCredential("algorithm");
      const { claims, secretKey } = await verifyByAnyOf([first, ...others], token, asked);
      return verifiedToken(claims, { signingKey: null, secretKey }, rules);
    }
    if (signingKeys === undefined) throw refusedCredential("algorithm");
    const signingKey = typeof kid === "string" ? await signingKeys.find(kid) : null;
    if (signingKey === null) throw refusedCredential("signing_key");
    const claims = await verifyClaims(token, { ...asked, ...signingKey });
    return verifiedToken(claims, { signingKey, secretKey: null }, rules);
  }

  async function isEnded({ principal, issuedAt }: VerifiedToken): Promise<boolean> {
    const endedAt = (await tokensEndedAt()).get(principal.ownerId);
    return endedAt !== undefined && issuedAt < endedAt.getTime();
  }

  /** Until it expires or is ended, and as long as its key is still in the set and not dropped. */
  async function stillCounts(token: VerifiedToken): Promise<boolean> {
    const { expiresAt, signingKey } = token;
    if (now().getTime() >= expiresAt || (await isEnded(token))) return false;
    if (signingKey === null) return true;
    const found = await signingKeys?.find(signingKey.kid);
    return found?.thumbprint === signingKey.thumbprint;
  }

  async function verifiedOnce(token: string): Promise<VerifiedToken> {
    const known = verified.get(token);
    if (known !== undefined && (await stillCounts(known))) return known;
    verified.delete(token);
    const fresh = await verify(token).catch((cause: unknown) => {
      throw isAppError(cause) ? cause : refusedCredential(reasonOf(cause), cause);
    });
    if (await isEnded(fresh)) throw refusedCredential("ended");
    remember(verified, token, fresh);
    const { ownerId, isAdmin, isOfIssuer, lacksSecondFactor } = fresh.principal;
    // A token of one factor still has the role.
    if (isOfIssuer && !isAdmin && !lacksSecondFactor) {
      const forget = () => verified.delete(token);
      await onNoAdmin?.(ownerId, new Date(fresh.issuedAt)).catch(forget);
    }
    return fresh;
  }

  return {
    verify: async (token) => await verifiedOnce(bearerToken(`Bearer ${token}`)),
    authenticate: async (authorization, mayGuess) => {
      const token = bearerToken(authorization);
      if (!isApiKey(token)) return (await verifiedOnce(token)).principal;
      if (apiKeys === undefined) throw refusedCredential("api_key_unknown");
      return await apiKeys.authenticate(token, mayGuess);
    },
  };
}

function verifiedToken(
  claims: JWTPayload,
  signedBy: Pick<VerifiedToken, "signingKey" | "secretKey">,
  rules: ClaimRules,
): VerifiedToken {
  const principal = principalOf({ claims, isOurs: signedBy.signingKey === null }, rules);
  const [issuedAt, expiresAt] = [(claims.iat ?? 0) * 1000, (claims.exp ?? 0) * 1000];
  return { principal: Object.freeze(principal), issuedAt, expiresAt, ...signedBy };
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
