import type { Standing } from "../store/presence.ts";

/** What one round of the reconciler found and did. */
export interface RoundReport {
  /** Emails that were due and in no queue: lost by it, left by somebody dead, or handed back. */
  foundDue: number;
  /** Emails given to the queue: those, and the ones that have come within the horizon. */
  requeued: number;
  /** Processes found dead. */
  deadWorkers: number;
  /** Un-fenced emails of dead workers that are pending again. */
  takenOver: number;
  /** Fenced emails of dead workers, settled as uncertain. */
  orphansSettled: number;
  /** Due emails of silent regions that are ours now, by the region they came from. */
  adopted: Record<string, number>;
  /** Emails held because every worker that tried them, and nothing else beside them, died. */
  poisonHeld: number;
  /** Jobs the queue kept waiting though their email was due (a clock is off), made to run. */
  promoted: number;
}

/** What the reconciler has found since the process started, and how things stand. */
export interface ReconcileReport extends RoundReport {
  rounds: number;
  /** Rounds that broke off: the database or the queue did not answer. */
  failures: number;
  /** Jobs this process could not add or gave up before a claim, handed back to the database. */
  jobsGivenUp: number;
  /** null: none has ended yet. */
  lastRoundAt: Date | null;
  lastRoundMs: number | null;
  /** The rest is as of the last round; null before the first. */
  standing: Standing | null;
  /**
   * By how much this process's clock is ahead of (positive) or behind another's; null: not known,
   * or there is no Redis.
   */
  skewMs: { database: number | null; redis: number | null };
  /** True while one of them is more than 2 s. */
  isSkewed: boolean;
}

/** Counting stops here, so that a large backlog costs a round no more than a small one. */
export const dueUnclaimedMax = 100_000;

export function emptyRound(): RoundReport {
  return {
    foundDue: 0,
    requeued: 0,
    deadWorkers: 0,
    takenOver: 0,
    orphansSettled: 0,
    adopted: {},
    poisonHeld: 0,
    promoted: 0,
  };
}

/** Adds what was found to the totals. */
export function addToReport(total: RoundReport, found: RoundReport): void {
  total.foundDue += found.foundDue;
  total.requeued += found.requeued;
  total.deadWorkers += found.deadWorkers;
  total.takenOver += found.takenOver;
  total.orphansSettled += found.orphansSettled;
  total.poisonHeld += found.poisonHeld;
  total.promoted += found.promoted;
  for (const [region, count] of Object.entries(found.adopted)) {
    total.adopted[region] = (total.adopted[region] ?? 0) + count;
  }
}

export function emptyReport(): ReconcileReport {
  return {
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
}
