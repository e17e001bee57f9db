import type { KeyObject } from "node:crypto";
import type { Principal } from "../../auth/principal.ts";
import type { FoundSession, KeyName, RenewedSession, SessionStore } from "../../store/sessions.ts";
import { groundOf, openRefresh, sealRefresh, sha256 } from "./session-cookie.ts";

/** How often, and after how long, it is looked whether another process has renewed a session. */
const busyTriesMax = 15;
const busyWaitMs = 200;

/** What a new token says, had for a refresh token. */
export type Renewal =
  | {
      kind: "renewed";
      principal: Principal;
      /** null: a secret of ours, which `secretKey` holds. */
      signingKey: KeyName | null;
      /** The secret that signed it, JWT_SECRET or a former one; null: `signingKey` did. */
      secretKey: KeyObject | null;
      expiresAt: Date;
      refreshToken: string;
    }
  | { kind: "refused" | "unavailable" };

export interface RenewingOptions {
  store: SessionStore;
  /** JWT_SECRET. */
  secret: string;
  /** Exchanges a refresh token; default: nobody does. */
  renew?: (refreshToken: string) => Promise<Renewal>;
  wait?: (ms: number) => Promise<void>;
}

/** Has a session's token renewed when it ends, by one process at a time. */
export function createRenewing({ store, secret, renew, wait = Bun.sleep }: RenewingOptions) {
  /** A refused renewal ends the session; no answer leaves it for as long as its token lasts. */
  async function exchange(cookie: string, refresh: string, found: NonNullable<FoundSession>) {
    const token = openRefresh(refresh, cookie);
    const answer = token === null ? refusedRenewal : await (renew?.(token) ?? refusedRenewal);
    if (answer.kind === "unavailable") return found.renewal === "needed" ? null : found;
    const isSame = answer.kind === "renewed" && answer.principal.ownerId === found.ownerId;
    const hash = sha256(cookie);
    if (!isSame) {
      await store.end(hash, { isEverywhere: false, origin: null });
      return null;
    }
    const { isAdmin } = answer.principal;
    const { signingKey, secretKey, expiresAt: tokenExpiresAt } = answer;
    const fresh: RenewedSession = {
      ...{ isAdmin, signingKey, tokenExpiresAt, origin: null },
      ground: signingKey === null ? groundOf(cookie, secretKey ?? secret) : null,
      refresh: sealRefresh(answer.refreshToken, cookie),
    };
    await store.renew(hash, fresh);
    return { ...found, isAdmin, signingKey, renewal: null };
  }

  return async (
    cookie: string,
    first: FoundSession,
    ask: () => Promise<FoundSession>,
  ): Promise<FoundSession> => {
    let found = first;
    for (let tries = 0; found !== null && found.renewal !== null; tries++) {
      const claim = await store.claimRenewal(sha256(cookie));
      if (claim.kind === "yours") return await exchange(cookie, claim.refresh, found);
      // Another process is at it: until the token has ended it counts as it was.
      if (claim.kind === "unknown" || found.renewal === "due") return found;
      if (tries >= busyTriesMax) return null;
      await wait(busyWaitMs);
      found = await ask();
    }
    return found;
  };
}

const refusedRenewal: Renewal = { kind: "refused" };
