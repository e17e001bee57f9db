import { type Claims, type Database, partClaims } from "./database.ts";

/** On whose word, and from where, something is ended. */
export interface EndingCaller {
  claims: Claims;
  /** The caller's network address for the journal; null: unknown. */
  origin: string | null;
}

export interface EndedTokens {
  /** Tokens issued earlier do not count. */
  notBefore: Date;
  /** Sessions of the console that ended with them. */
  sessions: number;
}

/** What an admin ends for others. */
export interface Endings {
  /** Sessions of the console, of one owner or of everybody (null); answers how many. */
  sessions(ownerId: string | null, by: EndingCaller): Promise<number>;
  /**
   * Every token of an owner that was issued up to now, and their sessions. A token counts in whole
   * seconds: resolves once the second is over, so that one made afterwards counts.
   */
  tokens(sub: string, by: EndingCaller): Promise<EndedTokens>;
}

export function createEndings(database: Database): Endings {
  return {
    async sessions(ownerId, { claims, origin }) {
      const answer = await database.rpc("end_sessions", { owner_id: ownerId, origin }, claims);
      return (answer as { ended: number }).ended;
    },
    async tokens(sub, { claims, origin }) {
      const answer = await database.rpc("end_tokens", { sub, origin }, claims);
      const { not_before, wait_ms, sessions } = answer as {
        not_before: string;
        wait_ms: number;
        sessions: number;
      };
      await Bun.sleep(wait_ms);
      return { notBefore: new Date(not_before), sessions };
    },
  };
}

/** From when on an owner's tokens count, by owner, for those whose earlier tokens were ended. */
export async function readEndedTokens(database: Database): Promise<ReadonlyMap<string, Date>> {
  const answer = await database.rpc("ended_tokens", {}, partClaims("authenticator"));
  const rows = answer as { owner_id: string; not_before: string }[];
  return new Map(rows.map(({ owner_id, not_before }) => [owner_id, new Date(not_before)]));
}
