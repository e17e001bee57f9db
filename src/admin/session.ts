import { createHash, randomBytes } from "node:crypto";
import type { Principal } from "../auth/principal.ts";
import type { FoundSession, SessionStore, SignInWay } from "../store/sessions.ts";

export const sessionSecondsMax = 12 * 3600;
export const idleSecondsMax = 2 * 3600;
/** So long an answer counts: a session that ended elsewhere ends within it on every process. */
const keptMs = 1_000;
/** While the database does not answer, what it said last counts so much longer. */
const staleMaxMs = 30_000;
const keptMax = 1_000;

export interface SessionsOptions {
  store: SessionStore;
  /** Milliseconds of any clock that only goes forward. */
  now?: () => number;
}

export interface StartOptions {
  via: SignInWay;
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

export function createSessions({
  store,
  now = () => performance.now(),
}: SessionsOptions): Sessions {
  /** By hash, since a page asks for many files at one moment. */
  const kept = new Map<string, Kept>();

  function find(hash: string, isActive: boolean): Promise<FoundSession> {
    const earlier = kept.get(hash);
    if (earlier !== undefined && now() - earlier.askedAt < keptMs) return earlier.found;
    const fresh: Kept = {
      found: store.find(hash, { idleSeconds: idleSecondsMax, isActive }),
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
        if (last !== null && now() - last.at < staleMaxMs) return last.session;
        // A failure is not an answer. Whoever waits for it is told; this only forgets it.
        if (kept.get(hash) === fresh) kept.delete(hash);
        throw error;
      },
    );
    kept.delete(hash);
    kept.set(hash, fresh);
    const oldest = kept.size > keptMax ? kept.keys().next().value : undefined;
    if (oldest !== undefined) kept.delete(oldest);
    return fresh.found;
  }

  return {
    start: async ({ ownerId, isAdmin }, { via, replaces, origin }) => {
      const cookie = randomBytes(32).toString("base64url");
      const old = hashOf(replaces);
      const times = { lastsSeconds: sessionSecondsMax };
      const hash = sha256(cookie);
      await store.start({ hash, replaces: old, ownerId, isAdmin, via, ...times, origin });
      if (old !== null) kept.delete(old);
      return cookie;
    },
    read: async (cookie, { isActive }) => {
      const hash = hashOf(cookie);
      const found = hash === null ? null : await find(hash, isActive);
      return found === null ? null : { ...found, credential: "session" };
    },
    end: async (cookie, options) => {
      const hash = hashOf(cookie);
      if (hash === null) return;
      await store.end(hash, options);
      // Other sessions of the same owner may be among them.
      if (options.isEverywhere) kept.clear();
      else kept.delete(hash);
    },
    noteRefused: (reason, origin) => store.noteRefused(reason, origin),
  };
}

/** null: this was never a cookie of ours, and nobody need be asked. */
function hashOf(cookie: string | undefined): string | null {
  return cookie !== undefined && /^[\w-]{43}$/.test(cookie) ? sha256(cookie) : null;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
