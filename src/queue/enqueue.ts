import type { Queue } from "bullmq";
import { AppError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { DueEmail, Presence } from "../store/presence.ts";
import { within } from "./abortable.ts";
import type { ClockSkew } from "./clock-skew.ts";
import type { FailPoints } from "./fail-points.ts";
import {
  createFairPlaces,
  type FairPlaces,
  type Place,
  priorityOf,
  secondOf,
} from "./fair-places.ts";
import { jobOptions } from "./queue-options.ts";
import { createReadyTimes, leadMs, type ReadyTimes } from "./ready-times.ts";

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

/** Puts every email at its owner's place. */
export interface FairEnqueue extends Enqueue {
  /** Learns how far the queue has come; to be called every second. Never rejects. */
  look(): Promise<void>;
}

/** The whole of a job's data: Redis never holds content. */
export interface WakeJob {
  emailId: string;
  wake: number;
  /** Milliseconds since 1970 by the database's clock. Jobs of earlier versions lack it. */
  dueAt?: number;
  /** The same for emails of one owner, whom it does not name. Absent: owner not known. */
  line?: number;
  /** It stands behind a flood of its owner's own. */
  isBehind?: true;
  /** When the job of a flood becomes ready, if that is after `dueAt`; same clock. */
  readyAt?: number;
}

export interface EnqueueDeps {
  queue: Queue<WakeJob>;
  /** Where emails go that the queue did not take. */
  presence: Pick<Presence, "unqueue">;
  log: Logger;
  clockSkew: Pick<ClockSkew, "now" | "isSkewed">;
  /** Emails of a flood that workers take before their time. Default: none. */
  aheadMax?: number;
  /** Only in the build for fault tests. */
  failPoints?: FailPoints;
}

const batchMax = 500;
/** `addBulk` hangs while Redis is down; then the same jobs are added again: same ids, no harm. */
const addTimeoutMs = 5_000;
const retryMs = 500;
/** An email is behind a flood with more of its owner's before it than stand in a second or two. */
const behindMin = 20;
/** With more than this waiting, the newest are left to the reconciler, which reads the database. */
const backlogMax = 20_000;

type Waiting = DueEmail & { addedAt: number; place: Place; isBehind: boolean; leadMs: number };

/** Adds emails to the queue in the background, in bulk, and keeps at it while it is down. */
export function createEnqueue(deps: EnqueueDeps): FairEnqueue {
  const { presence, clockSkew, log, failPoints } = deps;
  const places = createFairPlaces();
  const readyTimes = createReadyTimes(deps);
  let backlog: Waiting[] = [];
  let isLooking = false;
  let isRunning = false;
  let isDown = false;

  async function run(): Promise<void> {
    isRunning = true;
    while (backlog.length > 0) {
      // A flood that waits here must not stand in the way of others' mail either.
      if (backlog.length > batchMax) backlog.sort(inOrder);
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
    async look() {
      readyTimes.forgetPast(clockSkew.now().getTime());
      // Nobody floods, or the queue has not heard of all that was placed.
      if (isLooking || places.isEmpty || backlog.length > batchMax) return;
      isLooking = true;
      // A queue that is down answers when it is back, or not; it has a word of its own in the log.
      await readHead(deps, places).catch(() => {});
      isLooking = false;
    },
    add(email) {
      backlog.push(placed(deps, places, readyTimes, email));
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

async function readHead({ queue, clockSkew }: EnqueueDeps, places: FairPlaces): Promise<void> {
  const [first] = await queue.getJobs(["prioritized"], 0, 0, true);
  const priority = first?.opts.priority;
  const at = clockSkew.now().getTime();
  places.forgetServed(priority === undefined ? null : secondOf(priority, at), at);
}

/** Once for each email: while the queue is down, its job is made again and again. */
function placed(
  { clockSkew }: EnqueueDeps,
  places: FairPlaces,
  readyTimes: ReadyTimes,
  email: DueEmail,
): Waiting {
  const now = clockSkew.now().getTime();
  const dueAt = email.dueAt ?? now + email.delayMs;
  const place = places.take(email.ownerId, dueAt);
  const isBehind = place.ahead >= behindMin;
  // By a clock that is off, what is put off may come much later than that.
  const isLed = isBehind && !clockSkew.isSkewed && dueAt - now > leadMs;
  const lead = isLed ? readyTimes.leadOf({ dueAt, isBehind }) : leadMs;
  return { ...email, addedAt: performance.now(), place, isBehind, leadMs: lead };
}

function inOrder({ place: one }: Waiting, { place: other }: Waiting): number {
  return one.second - other.second;
}

async function addBatch({ queue, clockSkew }: EnqueueDeps, batch: Waiting[]): Promise<void> {
  const now = clockSkew.now().getTime();
  const jobs = batch.map((email) => jobOf(email, now));
  if ((await within(queue.addBulk(jobs), addTimeoutMs)) === null) {
    const publicDetail = `The queue did not answer within ${addTimeoutMs / 1_000} s.`;
    throw new AppError("internal_error", { publicDetail });
  }
}

function jobOf(email: Waiting, now: number) {
  const { id, wake, delayMs, addedAt, ownerId, place, isBehind } = email;
  const dueAt = Math.round(email.dueAt ?? now + delayMs - (performance.now() - addedAt));
  const data: WakeJob = { emailId: id, wake, dueAt };
  if (ownerId !== undefined) data.line = Bun.hash.xxHash32(ownerId);
  if (isBehind) data.isBehind = true;
  const readyAt = dueAt - now > leadMs ? dueAt - email.leadMs : now;
  if (readyAt > dueAt) data.readyAt = readyAt;
  const delay = Math.max(0, readyAt - now);
  const priority = priorityOf(place.second);
  return { name: "wake", data, opts: { ...jobOptions, jobId: `${id}-${wake}`, priority, delay } };
}
