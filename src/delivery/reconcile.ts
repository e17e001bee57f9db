import type { Logger } from "../log.ts";
import type { QueueBackend } from "../queue/queue-backend.ts";
import { endedWithin } from "../runtime/abortable.ts";
import { createAnswerWithin } from "../runtime/answer-within.ts";
import { type ClockSkew, createClockSkew } from "../runtime/clock-skew.ts";
import { createNudge, type Repetition, repeatSteadily } from "../runtime/repeat-steadily.ts";
import {
  addToReport,
  dueUnclaimedMax,
  emptyReport,
  emptyRound,
  type ReconcileReport,
  type RoundReport,
} from "./reconcile-report.ts";
import { type RoundDeps, takeOver } from "./reconcile-round.ts";
import type { Settling } from "./settling.ts";

export interface ReconcilerDeps extends RoundDeps {
  backend: Pick<QueueBackend, "readClock">;
  log: Logger;
  /** How often the database is searched for work that nobody knows of. */
  intervalMs: number;
  /** Called every second, for what this process has to know of the rest. Default: nothing. */
  lookAround?: () => Promise<void>;
  /** Ids of the emails that are decrypted or sent here. Default: none. */
  begun?: () => readonly string[];
  /** Claims came back from dead workers: others can send them. */
  onReturned?: () => void;
  /** Default: one of its own. */
  clockSkew?: ClockSkew;
  /** Whose outcomes are waited for by whoever would take this process's emails over. */
  settling?: Pick<Settling, "repeating">;
}

/** Says that this process lives, and takes over what dead workers held, steadily. */
export interface Reconciler {
  start(): void;
  /** One full round, and what it found. Rejects with what the database throws. */
  runOnce(options?: { everything?: boolean }): Promise<RoundReport>;
  /** The findings since the process started, and the present state. */
  report(): ReconcileReport;
  /** Ends the loops and says goodbye to the database. Never rejects. */
  stop(timeoutMs: number): Promise<void>;
  /** False while the database has not heard of us for longer than others wait. */
  readonly isHeard: boolean;
  /** Regions in which nothing can send, as of the last round; none until all have been heard. */
  readonly silentRegions: readonly string[];
}

const beatMs = 1_000;
const lookMs = 1_000;
const clockTimeoutMs = 1_500;
const clockEveryMs = 2_000;
const heardWithinMs = 5_000;

export function createReconciler(deps: ReconcilerDeps): Reconciler {
  const { presence, log } = deps;
  const stopping = new AbortController();
  const nudge = createNudge();
  const skew = deps.clockSkew ?? createClockSkew({ log });
  const rounds = createRounds(deps, skew);

  async function beat(): Promise<void> {
    const { hasDead, wasReaped } = await rounds.beat();
    if (wasReaped) log.warn("heartbeat lost: peers took over this process's claims; resumed");
    // A worker's emails need not wait for the next round.
    if (hasDead) nudge.give();
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
    get silentRegions() {
      // After an outage of the database every region looks silent, until each has been heard.
      return rounds.hearing.isSteady ? (rounds.report().regionStatus?.deadRegions ?? []) : [];
    },
    start() {
      loop("beat", beatMs, beat);
      loop("look around", lookMs, async () => await deps.lookAround?.());
      loop("queue clock", clockEveryMs, rounds.readQueueClock);
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
function createRounds(deps: ReconcilerDeps, skew: ClockSkew) {
  const { presence, backend } = deps;
  const totals = emptyReport();
  const hearing = createHearing();
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
    if (round.takenOver > 0) deps.onReturned?.();
    totals.regionStatus = await presence.regionStatus(dueUnclaimedMax);
    await presence.noteIncidents(hearing.isSteady);
  }

  return {
    hearing,
    async beat() {
      const settling = deps.settling?.repeating ?? 0;
      const beating = presence.beat({ begun: deps.begun?.() ?? [], settling });
      await skew.measure("database", async () => (await beating).now);
      hearing.heard();
      return beating;
    },
    readQueueClock: () => skew.measure("redis", () => clockWithin(backend.readClock())),
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
      skewMs: { ...skew.skewMs },
      isSkewed: skew.isSkewed,
    }),
  };
}
