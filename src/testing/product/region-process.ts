import { type Attempts, createAttempts } from "../../store/attempts.ts";
import type { Database } from "../../store/database.ts";
import { createPresence, type Presence, type PresenceOptions } from "../../store/presence.ts";

/** What a process is to the database: who it is, and the calls it makes. */
export interface RegionProcess {
  workerId: string;
  presence: Presence;
  attempts: Attempts;
}

/** One more process of a region, which has said that it lives. */
export async function joinRegion(
  database: Database,
  region: string,
  fields: Partial<PresenceOptions> = {},
): Promise<RegionProcess> {
  const workerId = Bun.randomUUIDv7();
  const presence = createPresence(database, {
    workerId,
    region,
    role: "all",
    replyTimeoutMs: 600_000,
    deadAfterMs: 5_000,
    ...fields,
  });
  const attempts = createAttempts(database, {
    workerId,
    region,
    transport: "capture",
  });
  await presence.beat();
  return { workerId, presence, attempts };
}
