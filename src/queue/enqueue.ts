import type { Queue } from "bullmq";
import { AppError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { DueEmail, Presence } from "../store/presence.ts";
import { within } from "./abortable.ts";
import type { ClockSkew } from "./clock-skew.ts";
import type { FailPoints } from "./fail-points.ts";
import { jobOptions } from "./queue-options.ts";

/** Gives emails to the region's queue. Nobody waits for it: the database is the truth. */
export interface Enqueue {
  /**
   * Never throws and never blocks: with the queue down, what could not be added is tried
   * again when it is back, and the reconciler adds it in any case.
   */
  add(email: DueEmail): void;
  /** Emails that wait to be added. */
  readonly backlog: number;
  /** Resolves when the backlog is empty or `timeoutMs` has passed. */
  flush(timeoutMs: number): Promise<void>;
}

/** The whole of a job's data: Redis never holds content. */
export interface WakeJob {
  emailId: string;
  wake: number;
  /** Milliseconds since 1970 by the database's clock. Jobs of earlier versions lack it. */
  dueAt?: number;
}

export interface EnqueueDeps {
  queue: Queue<WakeJob>;
  /** Where emails go that the queue did not take. */
  presence: Pick<Presence, "unqueue">;
  log: Logger;
  clockSkew: Pick<ClockSkew, "now">;
  /** Only in the build for fault tests. */
  failPoints?: FailPoints;
}

const batchMax = 500;
/** `addBulk` hangs while Redis is down; then the same jobs are added again: same ids, no harm. */
const addTimeoutMs = 5_000;
const retryMs = 500;
/**
 * A job comes so much before its time, and the worker that takes it waits for the rest: Redis
 * looks at its clock every 100 ms only, and a burst takes a while to be handed out.
 */
export const leadMs = 150;
/** With more than this waiting, the newest are left to the reconciler, which reads the database. */
const backlogMax = 20_000;

/** Adds emails to the queue in the background, in bulk, and keeps at it while it is down. */
export function createEnqueue(deps: EnqueueDeps): Enqueue {
  const { presence, log, failPoints } = deps;
  let backlog: (DueEmail & { addedAt: number })[] = [];
  let isRunning = false;
  let isDown = false;

  async function run(): Promise<void> {
    isRunning = true;
    while (backlog.length > 0) {
      const batch = backlog.slice(0, batchMax);
      try {
        await failPoints?.("enqueue.before");
        await addBatch(deps, batch);
        await failPoints?.("enqueue.after");
        backlog = backlog.slice(batch.length);
        if (isDown) log.info("queue takes jobs again", { count: backlog.length });
        isDown = false;
      } catch (error) {
        if (!isDown) log.warn("queue takes no jobs; trying again", { err: error });
        isDown = true;
        await shed();
        await Bun.sleep(retryMs);
      }
    }
    isRunning = false;
  }

  async function shed(): Promise<void> {
    if (backlog.length <= backlogMax) return;
    const surplus = backlog.slice(backlogMax);
    try {
      await presence.unqueue(surplus);
      backlog = backlog.slice(0, backlogMax).concat(backlog.slice(backlogMax + surplus.length));
    } catch (error) {
      log.warn("could not hand jobs back to the reconciler", { err: error });
    }
  }

  return {
    add(email) {
      backlog.push({ ...email, addedAt: performance.now() });
      // The next tick, so that a burst travels in one call.
      if (!isRunning) {
        isRunning = true;
        setTimeout(() => void run(), 0);
      }
    },
    get backlog() {
      return backlog.length;
    },
    async flush(timeoutMs) {
      const until = performance.now() + timeoutMs;
      while (backlog.length > 0 && performance.now() < until) await Bun.sleep(10);
    },
  };
}

async function addBatch(
  { queue, clockSkew }: EnqueueDeps,
  batch: (DueEmail & { addedAt: number })[],
): Promise<void> {
  const now = clockSkew.now().getTime();
  const jobs = batch.map(({ id, wake, delayMs, addedAt }) => {
    const untilDueMs = Math.round(delayMs - (performance.now() - addedAt));
    return {
      name: "wake",
      data: { emailId: id, wake, dueAt: now + untilDueMs },
      opts: { ...jobOptions, jobId: `${id}-${wake}`, delay: Math.max(0, untilDueMs - leadMs) },
    };
  });
  if ((await within(queue.addBulk(jobs), addTimeoutMs)) === null) {
    throw new AppError("internal_error", { publicDetail: "The queue did not answer." });
  }
}
