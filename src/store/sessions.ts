import { type Database, partClaims } from "./database.ts";

/** How somebody showed who they are. */
export type SignInWay = "token" | "link" | "password";

/** A key of JWKS_URL, by its id and RFC 7638's thumbprint: another one under the same id is another. */
export interface KeyName {
  kid: string;
  thumbprint: string;
}

/** What a session rests on, and ends with. */
export interface SessionGround {
  /**
   * HMAC in hex of the cookie with the secret that signed the token: JWT_SECRET, or a former one;
   * null: another issuer's key signed it.
   */
  ground: string | null;
  signingKey: KeyName | null;
  /** Of the token; null: there is none. */
  tokenExpiresAt: Date | null;
  /** Encrypted refresh token in base64, by which a new token is had; null: none. */
  refresh: string | null;
}

export interface NewSession extends SessionGround {
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

/** A session that counts; null: it is over, or there never was one. */
export type FoundSession = {
  ownerId: string;
  isAdmin: boolean;
  signingKey: KeyName | null;
  /** Until it ends, or its token does where that can be renewed. */
  endsInMs: number;
  /** Its token ends within minutes (`due`), or has ended (`needed`). */
  renewal: "due" | "needed" | null;
} | null;

export type RenewalClaim = { kind: "yours"; refresh: string } | { kind: "busy" | "unknown" };

export interface FindOptions {
  /** As of a new session. */
  ground: string;
  /** The same with former secrets that still count; default: none does. */
  formerGrounds?: readonly string[];
  idleSeconds: number;
  /** A person is doing something, so that the idle time starts anew. */
  isActive: boolean;
}

export interface RenewedSession extends SessionGround {
  isAdmin: boolean;
  origin: string | null;
}

export interface SessionStore {
  start(session: NewSession): Promise<void>;
  find(hash: string, options: FindOptions): Promise<FoundSession>;
  /** Lets one process alone renew the session's token. */
  claimRenewal(hash: string): Promise<RenewalClaim>;
  renew(hash: string, renewed: RenewedSession): Promise<void>;
  /** How many have ended; with `isEverywhere` all of its owner's. */
  end(hash: string, options: { isEverywhere: boolean; origin: string | null }): Promise<number>;
  /** `reason` in one word. The caller bounds how often. */
  noteRefused(reason: string, origin: string | null): Promise<void>;
}

export function createSessionStore(database: Database): SessionStore {
  const claims = partClaims("console");
  return {
    async start({ ownerId, isAdmin, lastsSeconds, signingKey, tokenExpiresAt, ...session }) {
      const who = { owner_id: ownerId, is_admin: isAdmin };
      const times = { lasts_seconds: lastsSeconds, token_expires_at: tokenExpiresAt };
      const args = { ...session, ...who, ...times, ...nameOf(signingKey) };
      await database.rpc("start_session", args, claims);
    },
    async find(hash, { ground, formerGrounds = [], idleSeconds, isActive }) {
      const grounds = { ground, former_grounds: formerGrounds };
      const args = { hash, ...grounds, idle_seconds: idleSeconds, is_active: isActive };
      const found = (await database.rpc("find_session", args, claims)) as FoundJson;
      return found.kind === "found" ? toFound(found) : null;
    },
    async claimRenewal(hash) {
      return (await database.rpc("claim_renewal", { hash }, claims)) as RenewalClaim;
    },
    async renew(hash, { isAdmin, signingKey, tokenExpiresAt, ...rest }) {
      const token = { ...nameOf(signingKey), token_expires_at: tokenExpiresAt };
      const args = { hash, is_admin: isAdmin, ...rest, ...token };
      await database.rpc("renew_session", args, claims);
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

function nameOf(key: KeyName | null) {
  return { kid: key?.kid ?? null, thumbprint: key?.thumbprint ?? null };
}

type FoundJson =
  | {
      kind: "found";
      owner_id: string;
      is_admin: boolean;
      kid: string | null;
      thumbprint: string | null;
      ends_in_ms: number;
      renewal: "due" | "needed" | null;
    }
  | { kind: "unknown" };

function toFound(json: FoundJson & { kind: "found" }): FoundSession {
  const { kid, thumbprint } = json;
  return {
    ownerId: json.owner_id,
    isAdmin: json.is_admin,
    signingKey: kid === null || thumbprint === null ? null : { kid, thumbprint },
    endsInMs: json.ends_in_ms,
    renewal: json.renewal,
  };
}
