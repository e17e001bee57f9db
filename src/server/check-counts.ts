import type { Logger } from "../log.ts";
import type { Maintenance, MaintenanceResult } from "../store/maintenance.ts";

/** Emails of one owner that are all counted, and about as many in one call. */
const emailsMax = 10_000;
const ownersMax = 200;
/** Bounds a run, which so costs the same however many emails there are. */
const stepsMax = 20;

export interface CheckCountsDeps {
  maintenance: Pick<Maintenance, "checkCounts">;
  log: Logger;
  /** Between two steps: renews the lease, and lets others at the database. */
  pause: () => Promise<void>;
  /** Default: as above. */
  emailsMax?: number;
}

/**
 * Compares the counts that quotas, lists and metrics go by with the emails of the next owners. A deviation
 * is repaired, and means that the program or somebody at a SQL console wrote what it must not.
 */
export async function checkCounts(deps: CheckCountsDeps): Promise<MaintenanceResult> {
  const { maintenance, log, pause } = deps;
  const limits = { owners: ownersMax, emails: deps.emailsMax ?? emailsMax };
  const result = { owners: 0, emails: 0, compared_in_part: 0, too_large: 0, repaired: 0 };
  for (let steps = 0; steps < stepsMax; steps++) {
    const step = await maintenance.checkCounts(limits);
    result.owners += step.owners;
    result.emails += step.emails;
    result.compared_in_part += step.inPart;
    result.too_large += step.skipped;
    result.repaired += step.repaired.length;
    for (const { ownerId, missing } of step.repaired) {
      const words = Object.entries(missing).map(([state, n]) => `${state} ${n > 0 ? "+" : ""}${n}`);
      log.error("counts of emails were wrong and were repaired", {
        ...{ component: "counts", owner: ownerId, reason: words.join(", ") },
        hint: "find out who wrote emails or their counts by SQL; else report a fault",
      });
    }
    if (step.isEnd || step.isBusy) break;
    await pause();
  }
  return result;
}
