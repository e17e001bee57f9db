import { type Database, partClaims } from "./database.ts";

/** How somebody showed who they are. */
export type SignInWay = "token" | "link" | "password";

export interface NewSession {
  /** SHA-256 of the cookie, in hex. */
  hash: string;
  /** Of the session this browser had before, which ends; null: none. */
  replaces: string | null;
  ownerId: string;
  isAdmin: boolean;
  via: SignInWay;
  lastsSeconds: number;
  /** The visitor's network address for the journal; null: unknown. */
  origin: string | null;
}

/** Whose a session is; null: it is over, or there never was one. */
export type FoundSession = { ownerId: string; isAdmin: boolean } | null;

export interface SessionStore {
  start(session: NewSession): Promise<void>;
  /** `isActive`: a person is doing something, so that its idle time starts anew. */
  find(hash: string, options: { idleSeconds: number; isActive: boolean }): Promise<FoundSession>;
  /** How many have ended; with `isEverywhere` all of its owner's. */
  end(hash: string, options: { isEverywhere: boolean; origin: string | null }): Promise<number>;
  /** `reason` in one word. Whoever calls it bounds how often. */
  noteRefused(reason: string, origin: string | null): Promise<void>;
}

export function createSessionStore(database: Database): SessionStore {
  const claims = partClaims("console");
  return {
    async start({ ownerId, isAdmin, lastsSeconds, ...session }) {
      const who = { owner_id: ownerId, is_admin: isAdmin };
      const args = { ...session, ...who, lasts_seconds: lastsSeconds };
      await database.rpc("start_session", args, claims);
    },
    async find(hash, { idleSeconds, isActive }) {
      const args = { hash, idle_seconds: idleSeconds, is_active: isActive };
      const found = (await database.rpc("find_session", args, claims)) as FoundJson;
      return found.kind === "found" ? { ownerId: found.owner_id, isAdmin: found.is_admin } : null;
    },
    async end(hash, { isEverywhere, origin }) {
      const args = { hash, is_everywhere: isEverywhere, origin };
      return ((await database.rpc("end_session", args, claims)) as { ended: number }).ended;
    },
    async noteRefused(reason, origin) {
      await database.rpc("note_refused_sign_in", { reason, origin }, claims);
    },
  };
}

type FoundJson = { kind: "found"; owner_id: string; is_admin: boolean } | { kind: "unknown" };
