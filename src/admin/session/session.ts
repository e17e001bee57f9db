import { type KeyObject, randomBytes } from "node:crypto";
import type { Principal } from "../../auth/principal.ts";
import type { FoundSession, KeyName, SessionStore, SignInWay } from "../../store/sessions.ts";
import { groundOf, hashOf, sealRefresh, sha256 } from "./session-cookie.ts";
import { createRenewing, type Renewal } from "./session-renewal.ts";

export const sessionSecondsMax = 12 * 3600;
export const idleSecondsMax = 2 * 3600;
/** Milliseconds an answer counts: a session that ended elsewhere ends within it on every process. */
const keptMs = 1_000;
/** While the database does not answer, what it said last counts so much longer. */
const staleMaxMs = 30_000;
const keptMax = 1_000;

export interface SessionsOptions {
  store: SessionStore;
  /** JWT_SECRET: sessions that rest on it end when it changes, unless `formerSecrets` holds it. */
  secret: string;
  /** JWT_SECRETS_OLD: sessions that rest on one of these go on; default: none. */
  formerSecrets?: readonly string[];
  /** Whether a key of JWKS_URL still counts; default: none does. */
  isTrusted?: (key: KeyName) => Promise<boolean>;
  /** Exchanges a refresh token; default: nobody does. */
  renew?: (refreshToken: string) => Promise<Renewal>;
  wait?: (ms: number) => Promise<void>;
  /** Milliseconds of any clock that only goes forward. */
  now?: () => number;
}

/** What a sign-in showed, with which its session ends. */
export interface SignInProof {
  /** Of JWKS_URL; null: a secret of ours signed the token, or it was a link. */
  signingKey: KeyName | null;
  /** The secret that signed the token, JWT_SECRET or a former one; null: none did. */
  secretKey: KeyObject | null;
  /** Of the token; null: of a link, which has no end of its own. */
  tokenExpiresAt: Date | null;
  /** null: the session ends with its token. */
  refreshToken: string | null;
}

export interface StartOptions {
  via: SignInWay;
  proof: SignInProof;
  /** The cookie this browser had before: its session ends, so that none is ever carried over. */
  replaces: string | undefined;
  origin: string | null;
}

/** Sessions are rows of the database: the cookie alone, kept or stolen, is worth nothing once ended. */
export interface Sessions {
  /** The value of a new cookie, which stands for this principal for 12 hours at most. */
  start(principal: Principal, options: StartOptions): Promise<string>;
  /** null: none that counts any more. `isActive`: see `SessionStore.find`. */
  read(cookie: string | undefined, options: { isActive: boolean }): Promise<Principal | null>;
  end(
    cookie: string | undefined,
    options: { isEverywhere: boolean; origin: string | null },
  ): Promise<void>;
  noteRefused: SessionStore["noteRefused"];
}

interface Kept {
  found: Promise<FoundSession>;
  askedAt: number;
  /** What the database said last, for the moments when it says nothing. */
  last: { session: FoundSession; at: number } | null;
}

export function createSessions(options: SessionsOptions): Sessions {
  const { store, secret, formerSecrets = [], isTrusted = async () => false } = options;
  const { now = () => performance.now() } = options;
  const renewed = createRenewing(options);

  /** As the database has it, renewed where its token ends; null: it rests on nothing any more. */
  async function look(cookie: string, isActive: boolean): Promise<FoundSession> {
    const ground = groundOf(cookie, secret);
    const formerGrounds = formerSecrets.map((former) => groundOf(cookie, former));
    const asked = { ground, formerGrounds, idleSeconds: idleSecondsMax, isActive };
    const ask = () => store.find(sha256(cookie), asked);
    const found = await renewed(cookie, await ask(), ask);
    const key = found?.signingKey ?? null;
    return key === null || (await isTrusted(key)) ? found : null;
  }

  const kept = createKept(look, now);

  return {
    start: async ({ ownerId, isAdmin }, { via, proof, replaces, origin }) => {
      const cookie = randomBytes(32).toString("base64url");
      const old = hashOf(replaces);
      const { signingKey, secretKey, tokenExpiresAt, refreshToken } = proof;
      await store.start({
        ...{ hash: sha256(cookie), replaces: old, ownerId, isAdmin, via, origin },
        ...{ lastsSeconds: sessionSecondsMax, signingKey, tokenExpiresAt },
        // The secret that signed the token: a former one that is taken out ends token and session.
        ground: signingKey === null ? groundOf(cookie, secretKey ?? secret) : null,
        refresh: refreshToken === null ? null : sealRefresh(refreshToken, cookie),
      });
      if (old !== null) kept.forget(old);
      return cookie;
    },
    read: async (cookie, { isActive }) => {
      if (cookie === undefined || hashOf(cookie) === null) return null;
      const found = await kept.find(cookie, isActive);
      if (found === null) return null;
      const { ownerId, isAdmin, signingKey } = found;
      const issuer = signingKey === null ? {} : { isOfIssuer: true as const };
      return { ownerId, isAdmin, credential: "session", ...issuer };
    },
    end: async (cookie, options) => {
      const hash = hashOf(cookie);
      if (hash === null) return;
      await store.end(hash, options);
      // Other sessions of the same owner may be among them.
      kept.forget(options.isEverywhere ? null : hash);
    },
    noteRefused: (reason, origin) => store.noteRefused(reason, origin),
  };
}

/** Keeps answers for a moment, since a page asks for many files at once; by hash of the cookie. */
function createKept(
  look: (cookie: string, isActive: boolean) => Promise<FoundSession>,
  now: () => number,
) {
  const kept = new Map<string, Kept>();
  return {
    /** null: all of them. */
    forget(hash: string | null): void {
      if (hash === null) kept.clear();
      else kept.delete(hash);
    },
    find(cookie: string, isActive: boolean): Promise<FoundSession> {
      const hash = sha256(cookie);
      const earlier = kept.get(hash);
      if (earlier !== undefined && now() - earlier.askedAt < keptMs) return earlier.found;
      const fresh: Kept = {
        found: look(cookie, isActive),
        askedAt: now(),
        last: earlier?.last ?? null,
      };
      fresh.found = fresh.found.then(
        (session) => {
          fresh.last = { session, at: now() };
          return session;
        },
        (error: unknown) => {
          const { last } = fresh;
          const lastsMs = Math.min(staleMaxMs, last?.session?.endsInMs ?? staleMaxMs);
          if (last !== null && now() - last.at < lastsMs) return last.session;
          // A failure is not an answer. The caller is told; this only forgets it.
          if (kept.get(hash) === fresh) kept.delete(hash);
          throw error;
        },
      );
      kept.delete(hash);
      kept.set(hash, fresh);
      const oldest = kept.size > keptMax ? kept.keys().next().value : undefined;
      if (oldest !== undefined) kept.delete(oldest);
      return fresh.found;
    },
  };
}
