import type { Logger } from "../log.ts";
import type { Presence, TakeOver } from "../store/presence.ts";
import type { Enqueue } from "./enqueue.ts";
import type { OverdueJobs } from "./overdue-jobs.ts";
import type { RoundReport } from "./reconcile-report.ts";
import { type SettleDeps, settleOrphan } from "./settle.ts";

/** The steps of the reconciler's round; each adds what it found to the round's report. */
export interface RoundDeps extends SettleDeps {
  presence: Presence;
  enqueue: Enqueue;
  log: Logger;
}

const dueBatch = 1_000;
const adoptBatch = 500;
/** While this many jobs wait to be added, more are left in the database. */
const backlogMax = 10_000;
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

/** Gives the queue what the database has for it. */
export async function queueDue(
  { presence, enqueue, log }: RoundDeps,
  round: RoundReport,
): Promise<void> {
  let count = 0;
  while (enqueue.backlog < backlogMax) {
    const { emails, hasMore } = await presence.queueDue(dueBatch);
    for (const email of emails) enqueue.add(email);
    count += emails.length;
    round.requeued += emails.length;
    round.foundDue += emails.filter(({ delayMs }) => delayMs === 0).length;
    if (!hasMore) break;
  }
  if (count > 0) log.info("emails queued from the database", { count });
}

/** Takes over the due emails of regions in which nothing can send. */
export async function adopt(
  { presence, enqueue, log }: RoundDeps,
  round: RoundReport,
): Promise<void> {
  let count = 0;
  while (enqueue.backlog < backlogMax) {
    const emails = await presence.adopt(adoptBatch);
    for (const { fromRegion, ...email } of emails) {
      enqueue.add(email);
      round.adopted[fromRegion] = (round.adopted[fromRegion] ?? 0) + 1;
    }
    count += emails.length;
    if (emails.length < adoptBatch) break;
  }
  if (count > 0) log.warn("emails of silent regions adopted", { count });
}

/** Makes those run that the queue keeps waiting, and puts back what it has lost. */
export async function findOverdue(
  log: Logger,
  overdue: OverdueJobs,
  round: RoundReport,
  options?: Parameters<OverdueJobs["look"]>[0],
): Promise<void> {
  const { promoted, requeued } = await overdue.look(options);
  round.promoted += promoted;
  round.requeued += requeued;
  round.foundDue += requeued;
  if (promoted > 0) log.warn("jobs whose email was due woken", { count: promoted });
  if (requeued > 0) log.warn("queue had lost jobs", { count: requeued });
}

function logTaken(log: Logger, taken: TakeOver): void {
  if (taken.crashedWorkers > 0) log.warn("dead processes found", { count: taken.crashedWorkers });
  if (taken.released > 0) log.warn("emails of dead workers released", { count: taken.released });
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
