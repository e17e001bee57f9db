import type { RoundReport } from "../../delivery/reconcile-report.ts";
import { answer } from "../answer.ts";
import type { ApiContext } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";

/**
 * POST /api/v1/reconcile: one round of the reconciler now, and what it found. It does what every
 * process does every few seconds anyway, so it may be asked for at any time. Admins only.
 */
export function createReconcileNow({ reconcile }: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    return answer(c, roundJson(await reconcile()));
  };
}

/** A round's findings as programs read them. */
export function roundJson(round: RoundReport) {
  return {
    dead_workers: round.deadWorkers,
    taken_over: round.takenOver,
    orphans_settled: round.orphansSettled,
    poison_held: round.poisonHeld,
  };
}

export type RoundJson = ReturnType<typeof roundJson>;
