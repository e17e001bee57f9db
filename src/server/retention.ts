import type { Config } from "../config.ts";
import type { Maintenance, MaintenanceResult, RetentionStep } from "../store/maintenance.ts";

export interface RetentionDeps {
  maintenance: Pick<Maintenance, "shredOld" | "dropOld">;
  days: Config["retention"];
  /** Between two steps: renews the lease, and lets others at the database. Default: nothing. */
  pause?: () => Promise<void>;
}

/** Steps of one run; with one every ten minutes that is more than 10 million emails a day. */
const stepsMax = 200;

/** Where each of the two walks goes on: an email that waits for a far day is passed once, not each time. */
export interface RetentionCursors {
  shred: string | null;
  drop: string | null;
}

/**
 * Destroys and deletes what has become old enough, in short transactions. A run that was cut off goes
 * on where it was; after the end it begins anew.
 */
export async function runRetention(
  deps: RetentionDeps,
  cursors: RetentionCursors,
): Promise<MaintenanceResult> {
  const { maintenance, days } = deps;
  const result = { shredded: 0, dropped: 0 };
  if (days.contentDays !== null) {
    const of = days.contentDays;
    const step = (after: string | null) => maintenance.shredOld(of, after);
    [result.shredded, cursors.shred] = await walk(step, cursors.shred, deps);
  }
  if (days.recordDays !== null) {
    const of = days.recordDays;
    const step = (after: string | null) => maintenance.dropOld(of, after);
    [result.dropped, cursors.drop] = await walk(step, cursors.drop, deps);
  }
  return result;
}

async function walk(
  step: (after: string | null) => Promise<RetentionStep>,
  from: string | null,
  { pause = async () => {} }: RetentionDeps,
): Promise<[count: number, after: string | null]> {
  let after = from;
  let count = 0;
  for (let steps = 0; steps < stepsMax; steps++) {
    const done = await step(after);
    count += done.count;
    after = done.after;
    if (after === null && !done.isBusy) break;
    await pause();
  }
  return [count, after];
}
