import type { Reconciler } from "../delivery/reconcile.ts";
import type { Settling } from "../delivery/settling.ts";
import type { Sealer } from "../journal/seal.ts";

/** One part as `/health` shows it; no secrets, no addresses of servers. */
export type HealthComponent = {
  status: "ok" | "degraded" | "down";
  detail?: string;
};

/** What else its own rounds may take before they are missed: a busy machine is not a fault. */
const roundsMissed = 3;
const roundMsMin = 5_000;
const oldestDueMsMax = 300_000;
const sealLagMsMax = 10_000;

export interface ReconcilerDeps {
  reconciler: Pick<Reconciler, "report">;
  /** Somebody sends, and the next hop takes it. */
  isGettingThrough: boolean;
  reconcileIntervalMs: number;
}

/** Whether the queue is being compared with the database, and whether what is due goes out. */
export function checkReconciler(
  { reconciler, isGettingThrough, reconcileIntervalMs }: ReconcilerDeps,
  now: Date = new Date(),
): HealthComponent {
  const { lastRoundAt, lastRoundMs, failures, regionStatus } = reconciler.report();
  // Before the first round there is nothing to say, unless it cannot be had.
  if (lastRoundAt === null) {
    return failures === 0 ? { status: "ok" } : degraded("no round has come to its end yet");
  }
  const silentMs = now.getTime() - lastRoundAt.getTime();
  const everyMs = Math.max(reconcileIntervalMs + (lastRoundMs ?? 0), roundMsMin);
  if (silentMs > roundsMissed * everyMs) {
    return degraded(`the last round ended ${seconds(silentMs)} ago; see the log`);
  }
  const oldestDueMs = regionStatus?.oldestDueMs ?? 0;
  // What waits for a transport, a pause, or somebody who sends, is told there.
  if (oldestDueMs > oldestDueMsMax && isGettingThrough) {
    return degraded(
      `an email has been overdue for ${seconds(oldestDueMs)}, though others are sent`,
    );
  }
  return { status: "ok" };
}

/** Whether what came of attempts is written: until then only this process knows it. */
export function checkSettling({
  repeating,
  errorCode,
}: Pick<Settling, "repeating" | "errorCode">): HealthComponent {
  if (repeating === 0) return { status: "ok" };
  return degraded(
    `what came of ${repeating} attempts is not written yet (${errorCode ?? "no answer"}) and is ` +
      "repeated until it is; do not stop this process before, or the emails are sent again",
  );
}

/**
 * Whether what happened is sealed: until then nobody who follows the journal hears of it. And whether
 * what was sealed still verifies, as far as the periodic verification has got.
 */
export function checkJournal({
  sealer,
  reconciler,
}: {
  sealer: Pick<Sealer, "lagMs">;
  reconciler: Pick<Reconciler, "report">;
}): HealthComponent {
  const { lagMs } = sealer;
  const brokenSince = reconciler.report().regionStatus?.journalBrokenSince ?? null;
  if (brokenSince !== null) {
    const at = brokenSince.toISOString();
    return degraded(`the journal does not verify, found at ${at}: run \`audit verify\``);
  }
  if (lagMs <= sealLagMsMax) return { status: "ok" };
  return degraded(`sealing is ${seconds(lagMs)} behind; see the log`);
}

function degraded(detail: string): HealthComponent {
  return { status: "degraded", detail };
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}
