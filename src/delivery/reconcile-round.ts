import type { Logger } from "../log.ts";
import type { Presence, TakeOver } from "../store/presence.ts";
import type { RoundReport } from "./reconcile-report.ts";
import { type SettleDeps, settleOrphan } from "./settle.ts";

/** The steps of the reconciler's round; each adds what it found to the round's report. */
export interface RoundDeps extends SettleDeps {
  presence: Presence;
  log: Logger;
}

/** What the database frees in one call at most. */
const takeOverBatch = 1_000;

/** Frees what dead workers held; orphans are settled as uncertain. */
export async function takeOver(
  deps: RoundDeps,
  round: RoundReport,
  everything: boolean,
): Promise<void> {
  for (;;) {
    const taken = await deps.presence.takeOver({ everything });
    round.deadWorkers += taken.crashedWorkers;
    round.takenOver += taken.released;
    round.poisonHeld += taken.poison.length;
    logTaken(deps.log, taken);
    await settleOrphans(deps, round, taken.orphans);
    if (taken.released + taken.poison.length < takeOverBatch) return;
  }
}

/** One that cannot be settled now is named again by the next round, and holds up nothing here. */
async function settleOrphans(
  deps: RoundDeps,
  round: RoundReport,
  orphans: TakeOver["orphans"],
): Promise<void> {
  const ends = await Promise.allSettled(orphans.map((orphan) => settleOrphan(deps, orphan)));
  const failed = ends.filter((end) => end.status === "rejected");
  const settled = ends.filter((end) => end.status === "fulfilled" && end.value.kind === "settled");
  round.orphansSettled += settled.length;
  if (failed.length === 0) return;
  deps.log.error("fenced emails of dead workers could not be settled; trying again", {
    count: failed.length,
    err: failed[0]?.reason,
  });
}

function logTaken(log: Logger, taken: TakeOver): void {
  if (taken.crashedWorkers > 0) log.warn("dead processes found", { count: taken.crashedWorkers });
  if (taken.released > 0) log.warn("claims of dead workers returned", { count: taken.released });
  if (taken.orphans.length > 0) {
    log.warn("fenced emails of dead workers are uncertain", { count: taken.orphans.length });
  }
  for (const id of taken.poison) {
    log.error("email held: every worker that tried it apart from others died", {
      email_id: id,
      reason: "poison",
    });
  }
}
