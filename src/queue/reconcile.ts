import type { Logger } from "../log.ts";
import { endedWithin } from "./abortable.ts";
import { createAnswerWithin } from "./answer-within.ts";
import { type ClockSkew, createClockSkew } from "./clock-skew.ts";
import { createOverdueJobs } from "./overdue-jobs.ts";
import type { QueueBackend } from "./queue-backend.ts";
import { createQueueWatch, type QueueWatch } from "./queue-watch.ts";
import {
  addToReport,
  dueUnclaimedMax,
  emptyReport,
  emptyRound,
  type ReconcileReport,
  type RoundReport,
} from "./reconcile-report.ts";
import { adopt, findOverdue, queueDue, type RoundDeps, takeOver } from "./reconcile-round.ts";
import { createNudge, type Repetition, repeatSteadily } from "./repeat-steadily.ts";
import type { Settling } from "./settling.ts";

export interface ReconcilerDeps extends RoundDeps {
  backend: Pick<
    QueueBackend,
    "readMarker" | "writeMarker" | "findJobs" | "promote" | "discard" | "readClock"
  >;
  log: Logger;
  /** How often the database is searched for work that nobody knows of. */
  intervalMs: number;
  newId: () => string;
  /** Called every second: what of the queue itself somebody has to know. Default: nothing. */
  lookAtQueue?: () => Promise<void>;
  /** Default: one of its own. */
  clockSkew?: ClockSkew;
  /** Whose outcomes are waited for by whoever would take this process's emails over. */
  settling?: Pick<Settling, "repeating">;
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
const headMs = 1_000;
const clockTimeoutMs = 1_500;
const overdueEveryMs = 2_000;
const heardWithinMs = 5_000;
const forgetEveryMs = 60_000;

export function createReconciler(deps: ReconcilerDeps): Reconciler {
  const { presence, log } = deps;
  const stopping = new AbortController();
  const nudge = createNudge();
  const skew = deps.clockSkew ?? createClockSkew({ log });
  const rounds = createRounds(deps, createQueueWatch(deps), skew);

  async function beat(): Promise<void> {
    const { hasDead, hasDue, wasReaped } = await rounds.beat();
    if (wasReaped) log.warn("others thought this process dead; it is back");
    // A worker's emails need not wait for the next round, nor need what another process stored.
    if (hasDead || hasDue) nudge.give();
  }

  const loops: Promise<void>[] = [];
  const loop = (name: string, everyMs: number, step: () => Promise<unknown>, more = {}) => {
    const repetition: Repetition = {
      name,
      everyMs,
      step: async () => void (await step()),
      log,
      signal: stopping.signal,
      ...more,
    };
    loops.push(repeatSteadily(repetition));
  };

  return {
    get isHeard() {
      return rounds.hearing.isHeard;
    },
    start() {
      loop("beat", beatMs, beat);
      loop("queue marker", markerMs, rounds.checkQueue);
      loop("fair places", headMs, async () => await deps.lookAtQueue?.());
      loop("overdue jobs", overdueEveryMs, rounds.lookForOverdue);
      loop("reconcile", deps.intervalMs, () => rounds.runOnce(false), { nudge });
    },
    runOnce: ({ everything = false } = {}) => rounds.runOnce(everything),
    report: rounds.report,
    async stop(timeoutMs) {
      stopping.abort();
      const failed = (err: unknown) => log.warn("goodbye to the database failed", { err });
      await endedWithin(Promise.all(loops), timeoutMs / 2, failed);
      await endedWithin(presence.stop(), timeoutMs / 2, failed);
    },
  };
}

/** Since when the database has heard of us, and whether it still does. */
function createHearing() {
  let at = performance.now();
  let since = at;
  return {
    heard() {
      if (performance.now() - at > heardWithinMs) since = performance.now();
      at = performance.now();
    },
    get isHeard() {
      return performance.now() - at < heardWithinMs;
    },
    /** Heard for so long that every other region that lives has been heard as well. */
    get isSteady() {
      return performance.now() - since >= heardWithinMs;
    },
  };
}

/** The rounds and what they add up to. */
function createRounds(deps: ReconcilerDeps, queue: QueueWatch, skew: ClockSkew) {
  const { presence, backend } = deps;
  const totals = emptyReport();
  const overdue = createOverdueJobs({ ...deps, clockSkew: skew });
  const hearing = createHearing();
  let forgottenAt = Number.NEGATIVE_INFINITY;
  const event = "queue's clock cannot be read; trying again";
  const clockWithin = createAnswerWithin({ timeoutMs: clockTimeoutMs, event, log: deps.log });

  /** Adds to the totals also what a step that broke off had found. */
  async function counted(steps: (round: RoundReport) => Promise<void>): Promise<RoundReport> {
    const round = emptyRound();
    try {
      await steps(round);
      return round;
    } catch (error) {
      totals.failures += 1;
      throw error;
    } finally {
      addToReport(totals, round);
    }
  }

  async function findAll(round: RoundReport, everything: boolean): Promise<void> {
    await takeOver(deps, round, everything);
    if ((await queue.check()) !== "gone") {
      await queueDue(deps, round);
      // After an outage of the database every region looks silent, until each has been heard.
      if (hearing.isSteady) await adopt(deps, round);
      // The next round frees what dead workers hold: it must not wait for a flood to be looked at.
      await findOverdue(deps.log, overdue, round, { isBrief: true });
    }
    if (performance.now() - forgottenAt > forgetEveryMs) {
      await presence.forgetIdempotent();
      forgottenAt = performance.now();
    }
    totals.standing = await presence.standing(dueUnclaimedMax);
  }

  return {
    hearing,
    async beat() {
      const settling = deps.settling?.repeating ?? 0;
      const beating = presence.beat({ canSend: queue.isSeen, settling });
      await skew.measure("database", async () => (await beating).now);
      hearing.heard();
      return beating;
    },
    /** A queue that is new is filled at once. */
    checkQueue: () =>
      counted(async (round) => {
        if ((await queue.check()) === "new") await queueDue(deps, round);
      }),
    async lookForOverdue() {
      if (!queue.isSeen) return;
      await skew.measure("redis", () => clockWithin(backend.readClock()));
      await counted((round) => findOverdue(deps.log, overdue, round));
    },
    async runOnce(everything: boolean): Promise<RoundReport> {
      const startedAt = performance.now();
      const round = await counted((found) => findAll(found, everything));
      totals.rounds += 1;
      totals.lastRoundAt = new Date();
      totals.lastRoundMs = performance.now() - startedAt;
      return round;
    },
    report: (): ReconcileReport => ({
      ...totals,
      adopted: { ...totals.adopted },
      jobsGivenUp: presence.jobsGivenUp,
      skewMs: { ...skew.skewMs },
      isSkewed: skew.isSkewed,
    }),
  };
}
