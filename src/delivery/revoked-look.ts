import type { Claim } from "../store/attempts.ts";

/**
 * Asks shortly before a moment which claims of a flood still stand: a cancel by another process would
 * otherwise cost the next hop a conversation for each email. (The fence refuses them all the same.)
 */
export interface RevokedLook {
  /** How long before the moment to ask: three times what the last answer took. */
  readonly leadMs: number;
  /** The ids of those that were revoked; of a few it is not asked. Does not reject. */
  find(claims: Claim[]): Promise<ReadonlySet<string>>;
}

export interface RevokedLookOptions {
  /** Does not reject. */
  findRevoked: (claims: Claim[]) => Promise<readonly string[]>;
  /** A steady clock in ms. */
  now: () => number;
}

/** Due at one moment: from this many on it is asked. */
const claimsMin = 20;
const leadMsMin = 25;
/** Also before the first answer. */
const leadMsMax = 250;

export function createRevokedLook({ findRevoked, now }: RevokedLookOptions): RevokedLook {
  let leadMs = leadMsMax;
  return {
    get leadMs() {
      return leadMs;
    },
    async find(claims) {
      if (claims.length < claimsMin) return new Set();
      const askedAt = now();
      const revoked = await findRevoked(claims);
      leadMs = Math.min(leadMsMax, Math.max(leadMsMin, 3 * (now() - askedAt)));
      return new Set(revoked);
    },
  };
}
