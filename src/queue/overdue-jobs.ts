import type { OverdueCursor, OverduePage, Presence } from "../store/presence.ts";
import { within } from "./abortable.ts";
import type { Enqueue } from "./enqueue.ts";
import type { QueueBackend } from "./queue-backend.ts";
import { emailQueueName } from "./queue-options.ts";

/**
 * Finds emails that are due by the database's clock and queued, and that the queue does not let
 * run: BullMQ judges a delay by the clock of whoever adds and of whoever works, and a queue may
 * have lost a job without losing its marker.
 */
export interface OverdueJobs {
  /** Resolves to what it did; a queue that does not answer is for the next look. */
  look(): Promise<{ promoted: number; requeued: number }>;
}

export interface OverdueJobsDeps {
  presence: Pick<Presence, "listOverdue">;
  backend: Pick<QueueBackend, "findJobs" | "promote">;
  enqueue: Enqueue;
}

/** Later than Redis's own clock tick and an ordinary claim. */
const overdueMs = 2_000;
const pageSize = 2_000;
/**
 * A job that was seen waiting goes on waiting, so that each email is looked up once when it has
 * just become overdue; a large backlog behind a rate limit costs nothing. Beside that, and to
 * be sure, all are looked up this often.
 */
const everythingEveryMs = 60_000;
/** Promoted jobs are a burst that the workers take at once; the rest follows with the next look. */
const promotedMax = 1_000;
const queueTimeoutMs = 5_000;

export function createOverdueJobs({ presence, backend, enqueue }: OverdueJobsDeps): OverdueJobs {
  /** Everything before it was looked up; null: begin with the email that is due longest. */
  let seen: OverdueCursor | null = null;
  let everythingAt = Number.NEGATIVE_INFINITY;

  async function lookUp(emails: OverduePage["emails"]) {
    const byJob = new Map(emails.map((email) => [`${email.id}-${email.wake}`, email]));
    const { delayed, missing } = await backend.findJobs(emailQueueName, [...byJob.keys()]);
    await backend.promote(emailQueueName, delayed);
    for (const jobId of missing) {
      const email = byJob.get(jobId);
      if (email) enqueue.add({ ...email, delayMs: 0 });
    }
    return { promoted: delayed.length, requeued: missing.length };
  }

  return {
    async look() {
      const total = { promoted: 0, requeued: 0 };
      if (performance.now() - everythingAt > everythingEveryMs) {
        seen = null;
        everythingAt = performance.now();
      }
      while (total.promoted + total.requeued < promotedMax) {
        const page = await presence.listOverdue({ overdueMs, limit: pageSize, after: seen });
        // A queue that fails has its own word in the log; then nothing counts as seen.
        const done = await within(lookUp(page.emails), queueTimeoutMs);
        if (done === null) break;
        total.promoted += done.promoted;
        total.requeued += done.requeued;
        seen = page.last ?? page.until;
        if (page.last === null) break;
      }
      return total;
    },
  };
}
