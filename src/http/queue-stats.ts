import { emailStates } from "../email/email.ts";
import { answer } from "./answer.ts";
import { type ApiContext, claimsOf } from "./api-env.ts";
import type { AppDeps } from "./app-deps.ts";

/**
 * GET /api/v1/queue-stats: counts of emails, the caller's own or, for an admin, everybody's.
 * The names are those of queues: `active` is sending, `completed` sent (in part, too), `failed`
 * counts uncertain ones as well, and `paused` those held for a person.
 */
export function createQueueStats({ emails, countWorkers }: AppDeps) {
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
      workers,
      oldest_due_ms: stats.oldestDueMs,
      by_status: byStatus,
    });
  };
}
