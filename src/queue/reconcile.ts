import { isAppError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Presence, TakeOver } from "../store/presence.ts";
import { sleep, within } from "./abortable.ts";
import type { Enqueue } from "./enqueue.ts";
import type { QueueBackend } from "./queue-backend.ts";
import {
  addToReport,
  emptyRound,
  type ReconcileReport,
  type RoundReport,
} from "./reconcile-report.ts";
import { type SettleDeps, settleOrphan } from "./settle.ts";

export interface ReconcilerDeps extends SettleDeps {
  presence: Presence;
  backend: Pick<QueueBackend, "readMarker" | "writeMarker">;
  enqueue: Enqueue;
  log: Logger;
  /** How often the database is searched for work that nobody knows of. */
  intervalMs: number;
  newId: () => string;
}

/** Rebuilds the queue from the database and frees what dead workers held, steadily. */
export interface Reconciler {
  start(): void;
  /** One full round, and what it found. Rejects with what the database throws. */
  runOnce(options?: { everything?: boolean }): Promise<RoundReport>;
  /** What was found since the process started, and how things stand. */
  report(): ReconcileReport;
  /** Ends the loops and says goodbye to the database. Never rejects. */
  stop(timeoutMs: number): Promise<void>;
  /** False while the database has not heard of us for longer than others wait. */
  readonly isHeard: boolean;
}

const beatMs = 1_000;
const markerMs = 1_000;
const markerTimeoutMs = 1_500;
const heardWithinMs = 5_000;
const dueBatch = 1_000;
/** While this many jobs wait to be added, more are left in the database. */
const backlogMax = 10_000;
const forgetEveryMs = 600_000;

export function createReconciler(deps: ReconcilerDeps): Reconciler {
  const stopping = new AbortController();
  let knownMarker: string | null = null;
  let heardAt = performance.now();
  let forgottenAt = Number.NEGATIVE_INFINITY;
  const totals: ReconcileReport = {
    ...emptyRound(),
    rounds: 0,
    failures: 0,
    jobsGivenUp: 0,
    lastRoundAt: null,
    lastRoundMs: null,
    standing: null,
    skewMs: { database: null, redis: null },
    isSkewed: false,
  };

  /** True when the queue is there; tells the database when it is another one than before. */
  async function checkMarker(): Promise<boolean> {
    const marker = await within(readOrWriteMarker(deps), markerTimeoutMs);
    if (marker === null) return false;
    if (marker === knownMarker) return true;
    const { isNew } = await deps.presence.setQueueMarker(marker);
    if (isNew && knownMarker !== null) deps.log.warn("queue was lost; building it anew");
    knownMarker = marker;
    if (isNew) addToReport(totals, { ...emptyRound(), ...(await queueDue(deps)) });
    return true;
  }

  async function runOnce(options: { everything?: boolean } = {}): Promise<RoundReport> {
    const startedAt = performance.now();
    const round = emptyRound();
    try {
      await findAll(round, options.everything ?? false);
    } catch (error) {
      totals.failures += 1;
      throw error;
    } finally {
      addToReport(totals, round);
    }
    totals.rounds += 1;
    totals.lastRoundAt = new Date();
    totals.lastRoundMs = performance.now() - startedAt;
    return round;
  }

  async function findAll(round: RoundReport, everything: boolean): Promise<void> {
    const taken = await deps.presence.takeOver({ everything });
    logTaken(deps.log, taken);
    round.deadWorkers = taken.crashedWorkers;
    round.takenOver = taken.released;
    for (const orphan of taken.orphans) {
      await settleOrphan(deps, orphan);
      round.orphansSettled += 1;
    }
    if (await checkMarker()) Object.assign(round, await queueDue(deps));
    if (performance.now() - forgottenAt > forgetEveryMs) {
      await deps.presence.forgetIdempotent();
      forgottenAt = performance.now();
    }
  }

  async function beat(): Promise<void> {
    const { wasReaped } = await deps.presence.beat();
    heardAt = performance.now();
    if (wasReaped) deps.log.warn("others thought this process dead; it is back");
  }

  const loops: Promise<void>[] = [];
  return {
    get isHeard() {
      return performance.now() - heardAt < heardWithinMs;
    },
    start() {
      const { signal } = stopping;
      loops.push(repeat("beat", beatMs, beat, deps.log, signal));
      loops.push(
        repeat("queue marker", markerMs, async () => void (await checkMarker()), deps.log, signal),
      );
      loops.push(
        repeat("reconcile", deps.intervalMs, async () => void (await runOnce()), deps.log, signal),
      );
    },
    runOnce,
    report: () => ({ ...totals, adopted: { ...totals.adopted } }),
    async stop(timeoutMs) {
      stopping.abort();
      await within(Promise.all(loops), timeoutMs / 2);
      await within(deps.presence.stop(), timeoutMs / 2);
    },
  };
}

async function readOrWriteMarker({ backend, newId }: ReconcilerDeps): Promise<string> {
  return (await backend.readMarker()) ?? (await backend.writeMarker(newId()));
}

async function queueDue({
  presence,
  enqueue,
  log,
}: ReconcilerDeps): Promise<Pick<RoundReport, "foundDue" | "requeued">> {
  let requeued = 0;
  let foundDue = 0;
  while (enqueue.backlog < backlogMax) {
    const { emails, hasMore } = await presence.queueDue(dueBatch);
    for (const email of emails) enqueue.add(email);
    requeued += emails.length;
    foundDue += emails.filter(({ delayMs }) => delayMs === 0).length;
    if (!hasMore) break;
  }
  if (requeued > 0) log.info("emails queued from the database", { count: requeued });
  return { foundDue, requeued };
}

function logTaken(log: Logger, taken: TakeOver): void {
  if (taken.crashedWorkers > 0) log.warn("dead processes found", { count: taken.crashedWorkers });
  if (taken.released > 0) log.warn("emails of dead workers released", { count: taken.released });
  if (taken.orphans.length > 0) {
    log.warn("fenced emails of dead workers are uncertain", { count: taken.orphans.length });
  }
}

/** Runs `step` every `everyMs` until the signal; a failure is logged once and tried again. */
async function repeat(
  name: string,
  everyMs: number,
  step: () => Promise<void>,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  let isFailing = false;
  while (!signal.aborted) {
    try {
      await step();
      if (isFailing) log.info("works again", { component: name });
      isFailing = false;
    } catch (error) {
      const level = isAppError(error, "database_unavailable") ? "warn" : "error";
      if (!isFailing) log[level]("failed; trying again", { component: name, err: error });
      isFailing = true;
    }
    // The abort is the end of the loop, not a failure.
    await sleep(everyMs, signal).catch(() => undefined);
  }
}
