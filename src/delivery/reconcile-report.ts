import type { RegionStatus } from "../store/presence.ts";

/** What one round of the reconciler found and did. */
export interface RoundReport {
  /** Processes found dead. */
  deadWorkers: number;
  /** Un-fenced emails of dead workers that are pending again. */
  takenOver: number;
  /** Fenced emails of dead workers, settled as uncertain. */
  orphansSettled: number;
  /** Emails held because every worker that tried them, and nothing else beside them, died. */
  poisonHeld: number;
}

/** What the reconciler has found since the process started, and how things stand. */
export interface ReconcileReport extends RoundReport {
  rounds: number;
  /** Rounds that broke off: the database or the queue did not answer. */
  failures: number;
  /** null: none has ended yet. */
  lastRoundAt: Date | null;
  lastRoundMs: number | null;
  /** The rest is as of the last round; null before the first. */
  regionStatus: RegionStatus | null;
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
    deadWorkers: 0,
    takenOver: 0,
    orphansSettled: 0,
    poisonHeld: 0,
  };
}

/** Adds what was found to the totals. */
export function addToReport(total: RoundReport, found: RoundReport): void {
  total.deadWorkers += found.deadWorkers;
  total.takenOver += found.takenOver;
  total.orphansSettled += found.orphansSettled;
  total.poisonHeld += found.poisonHeld;
}

export function emptyReport(): ReconcileReport {
  return {
    ...emptyRound(),
    rounds: 0,
    failures: 0,
    lastRoundAt: null,
    lastRoundMs: null,
    regionStatus: null,
    skewMs: { database: null, redis: null },
    isSkewed: false,
  };
}
