import type { Config } from "../config.ts";
import { createMinuteCounter, type MinuteCounterDeps } from "../metrics/count-minutes.ts";
import type { Database } from "../store/database.ts";
import { createMinutes } from "../store/minutes.ts";

/** What this process does minute by minute, and what all have done. */
export function createMinuteParts(
  { region }: Config,
  database: Database,
  { workerId, ...counting }: Pick<MinuteCounterDeps, "now" | "log"> & { workerId: string },
) {
  const minutes = createMinutes(database, { workerId, region });
  return { minutes, minuteCounter: createMinuteCounter({ minutes, ...counting }) };
}
