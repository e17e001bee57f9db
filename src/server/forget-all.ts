import type { Forgettable, Maintenance, MaintenanceResult } from "../store/maintenance.ts";

/** Rows of one transaction. */
const batch = 5_000;
/** Bounds the time of a run. */
const stepsMax = 200;

/** Deletes what has served its time, in short transactions; the next run does what is left. */
export async function forgetAll(
  { forget }: Pick<Maintenance, "forget">,
  rows: Forgettable,
  pause: () => Promise<void>,
): Promise<MaintenanceResult> {
  let forgotten = 0;
  for (let steps = 0; steps < stepsMax; steps++) {
    const count = await forget(rows, batch);
    forgotten += count;
    if (count < batch) break;
    await pause();
  }
  return { forgotten };
}
