import { type Claims, type Database, partClaims } from "./database.ts";

export interface ProbeRequest {
  /** ISO 8601; tells one request from the next. */
  askedAt: string;
  /** By the database's clock. */
  ageMs: number;
}

/** An admin's wish that a transport which is down is tried now, whichever process holds its breaker. */
export interface ProbeRequests {
  /** Journalled; what was given back until later is due now, so that there is an email to probe with. */
  ask(transport: string, by: { claims: Claims; origin: string | null }): Promise<void>;
  /** The last one; null: nobody has asked. */
  last(transport: string): Promise<ProbeRequest | null>;
}

export function createProbeRequests(database: Database, region: string): ProbeRequests {
  return {
    async ask(transport, { claims, origin }) {
      await database.rpc("request_probe", { transport, origin }, claims);
    },
    async last(transport) {
      const claims = partClaims("reconciler", region);
      const answer = (await database.rpc("probe_request", { transport }, claims)) as ProbeJson;
      const { asked_at: askedAt, age_ms: ageMs } = answer;
      return askedAt === null || ageMs === null ? null : { askedAt, ageMs };
    },
  };
}

interface ProbeJson {
  asked_at: string | null;
  age_ms: number | null;
}
