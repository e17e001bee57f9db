import { emailStates } from "../../email/email.ts";
import { answer } from "../answer.ts";
import { type ApiContext, claimsOf, principalOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { pauseJson, pausesShownTo } from "./pause-sending.ts";

/**
 * GET /api/v1/queue-stats: counts of emails, the caller's own or, for an admin, everybody's.
 * The names are those of queues: `active` is sending, `completed` sent (in part, too), `failed`
 * counts uncertain ones as well, and `paused` those held for a person. `sending_paused` has what
 * keeps these emails from being sent until somebody resumes it: pauses of regions, and of the
 * caller, or for an admin of anybody.
 */
export function createQueueStats({ emails, countWorkers, pauses }: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const [stats, workers] = await Promise.all([emails.stats(claimsOf(c)), countWorkers()]);
    const counts = emailStates.map((state) => [state, stats.byStatus[state] ?? 0] as const);
    const byStatus = Object.fromEntries(counts) as Record<(typeof emailStates)[number], number>;
    return answer(c, {
      waiting: stats.waiting,
      active: byStatus.sending,
      delayed: stats.delayed,
      completed: byStatus.sent + byStatus.partially_sent,
      failed: byStatus.failed + byStatus.uncertain,
      paused: byStatus.held,
      sending_paused: pausesShownTo(principalOf(c), pauses.last).map(pauseJson),
      workers,
      oldest_due_ms: stats.oldestDueMs,
      by_status: byStatus,
    });
  };
}
