import type { Context } from "hono";
import type { Principal } from "../auth/principal.ts";
import type { Claims } from "../store/database.ts";
import type { ReadFrom } from "../store/read-replica.ts";
import type { Taken } from "./middleware/limiter.ts";
import type { ParseTurns } from "./middleware/parse-turns.ts";

/** What `app.fetch(req, { server })` hands in, and what the middleware leaves for the endpoints. */
export interface ApiEnv {
  Bindings: {
    /** The visitor of a page of ours that asks on behalf of it; the page has recognised it. */
    principal?: Principal;
    /** Whether that visitor's session goes on, for an answer that lasts; may reject. */
    isStillIn?: () => Promise<boolean>;
    /** `Bun.serve`'s; it resets a request that is silent for ten seconds unless told otherwise. */
    server?: {
      timeout(req: Request, seconds: number): void;
      requestIP?(req: Request): { address: string } | null;
    };
  };
  Variables: {
    requestId: string;
    /** Set by `authenticate`; absent on routes without a credential. */
    principal?: Principal;
    /** What it was verified from, for who has to look again. */
    authorization?: string;
    /** The route's pattern, for the log: a path may hold whatever a caller typed. */
    route?: string;
    /** The email the request is about, for the log. */
    emailId?: string;
    /** The memory set aside for the body and what is made of it, given back at the end. */
    held?: HeldBytes;
    /** The owner's turn of a read, which an answer that streams takes over. */
    turn?: Turn;
    /** Before a large body is parsed. */
    parseTurns?: ParseTurns;
    /** The reader of the database, where a replica may answer. */
    readFrom?: ReadFrom;
    /** The rest of the caller's budget; absent where none is kept. */
    rateLimit?: Taken & { name: string; perMinute: number };
  };
}

/** Ends with the answer, or when whoever has set `isKept` calls `end`. */
export interface Turn {
  isKept: boolean;
  end(): void;
}

export interface HeldBytes {
  bytes: number;
  giveBack: (() => void)[];
}

export type ApiContext = Context<ApiEnv>;

/** The caller. Only for routes behind `authenticate`. */
export function principalOf(c: ApiContext): Principal {
  const principal = c.get("principal");
  if (!principal) throw new Error("the route is not behind authenticate");
  return principal;
}

/** Bytes set aside for this request already. */
export function heldBytesOf(c: ApiContext): number {
  return c.get("held")?.bytes ?? 0;
}

/** The claims under which the database answers this caller. */
export function claimsOf(c: ApiContext): Claims {
  const { ownerId, isAdmin } = principalOf(c);
  return { role: isAdmin ? "admin" : "user", sub: ownerId };
}
