import type { Logger } from "../log.ts";
import type { OverdueCursor, OverduePage, Presence } from "../store/presence.ts";
import { createAnswerWithin } from "./answer-within.ts";
import type { ClockSkew } from "./clock-skew.ts";
import type { Enqueue, WakeJob } from "./enqueue.ts";
import type { QueueBackend } from "./queue-backend.ts";
import { emailQueueName } from "./queue-options.ts";

/**
 * Finds emails that are due by the database's clock and queued, and that the queue does not let
 * run: BullMQ judges a delay by the clock of whoever adds and of whoever works, and a queue may
 * have lost a job without losing its marker.
 */
export interface OverdueJobs {
  /**
   * Resolves to what it did; a queue that does not answer is for the next look. A brief one leaves
   * the rest of a large backlog to the next as well, and whoever has more to do waits for no pause.
   */
  look(options?: { isBrief?: boolean }): Promise<{ promoted: number; requeued: number }>;
}

export interface OverdueJobsDeps {
  presence: Pick<Presence, "listOverdue">;
  backend: Pick<QueueBackend, "findJobs" | "promote" | "discard">;
  enqueue: Enqueue;
  clockSkew: Pick<ClockSkew, "now">;
  log: Logger;
}

/** Later than Redis's own clock tick and an ordinary claim. */
const overdueMs = 2_000;
/** Small, and with a pause after each but the first few: nobody waits long behind a flood's look. */
const pageSize = 500;
const pagesAtOnce = 4;
const pauseMs = 100;
/**
 * A job that was seen waiting goes on waiting, so that each email is looked up once when it has
 * just become overdue; a large backlog behind a rate limit costs nothing. Beside that, and to
 * be sure, all are looked up this often.
 */
const everythingEveryMs = 60_000;
/** Promoted jobs are a burst that the workers take at once; the rest follows with the next look. */
const promotedMax = 1_000;
const queueTimeoutMs = 5_000;

export function createOverdueJobs(deps: OverdueJobsDeps): OverdueJobs {
  const { presence, backend, enqueue, clockSkew, log } = deps;
  /** Everything before it was looked up; null: begin with the email that is due longest. */
  let seen: OverdueCursor | null = null;
  let everythingAt = Number.NEGATIVE_INFINITY;
  /** Until then jobs are put off that were seen; 0: none. In ms, by the database's clock. */
  let putOffUntil = 0;
  const event = "jobs of overdue emails cannot be looked up; trying again";
  const answerWithin = createAnswerWithin({ timeoutMs: queueTimeoutMs, event, log });

  const overdueSince = () => clockSkew.now().getTime() - overdueMs;

  /** A flood's jobs become ready little by little; when the last is, all are looked up again. */
  function isPutOff(data: unknown): boolean {
    const { readyAt = 0 } = data as Partial<WakeJob>;
    if (readyAt <= overdueSince()) return false;
    putOffUntil = Math.max(putOffUntil, readyAt);
    return true;
  }

  async function lookUp(emails: OverduePage["emails"]) {
    const byJob = new Map(emails.map((email) => [`${email.id}-${email.wake}`, email]));
    const found = await backend.findJobs(emailQueueName, [...byJob.keys()]);
    const stuck = found.delayed.filter(({ data }) => !isPutOff(data)).map(({ jobId }) => jobId);
    await backend.promote(emailQueueName, stuck);
    // What is left of a job would make adding it again a silent no-op.
    await backend.discard(emailQueueName, found.orphaned);
    // What took one job out of its list took others, also of emails that were looked up before.
    if (found.orphaned.length > 0) everythingAt = Number.NEGATIVE_INFINITY;
    const gone = [...found.missing, ...found.orphaned];
    for (const jobId of gone) {
      const email = byJob.get(jobId);
      if (email) enqueue.add({ ...email, delayMs: 0 });
    }
    return { promoted: stuck.length, requeued: gone.length };
  }

  return {
    async look({ isBrief = false } = {}) {
      const total = { promoted: 0, requeued: 0 };
      const isPutOffOver = putOffUntil > 0 && putOffUntil <= overdueSince();
      if (isPutOffOver || performance.now() - everythingAt > everythingEveryMs) {
        seen = null;
        everythingAt = performance.now();
        putOffUntil = 0;
      }
      for (let pages = 0; total.promoted + total.requeued < promotedMax; pages++) {
        if (pages >= pagesAtOnce) {
          if (isBrief) break;
          await Bun.sleep(pauseMs);
        }
        const page = await presence.listOverdue({ overdueMs, limit: pageSize, after: seen });
        const done = await answerWithin(lookUp(page.emails));
        // Then nothing counts as seen.
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
