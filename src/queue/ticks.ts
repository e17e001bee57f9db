import type { Queue } from "bullmq";
import type { Logger } from "../log.ts";
import { within } from "../runtime/abortable.ts";
import type { ClockSkew } from "../runtime/clock-skew.ts";
import { createOutageLog } from "../runtime/outage-log.ts";

/**
 * Wakes the dispatchers of a region's processes through BullMQ. A job is a tick: the emails due
 * within the same 100 ms, whoever they belong to. It carries no email and decides nothing, so that
 * one which is lost, early, late or doubled is harmless: every dispatcher looks once a second.
 */
export interface Ticks {
  /** An email is due in so many milliseconds. Never throws, never blocks. */
  add(due: DueSoon): void;
  /** Other processes may help, or something is due now that this process does not hold. */
  wakeOthers(): void;
}

export interface DueSoon {
  /** By the database's clock; 0: now. */
  delayMs: number;
}

/** What a tick's job holds: nothing of any email. */
export type TickJob = Record<string, never>;

/** The queue of the ticks, as Bull Board names it. */
export const tickQueueName = "ticks";

export interface TicksDeps {
  queue: Pick<Queue<TickJob>, "add">;
  region: string;
  clockSkew: Pick<ClockSkew, "now">;
  /** Wakes the dispatcher of this process, when it has one, in so many milliseconds. */
  wakeHere: (inMs: number) => void;
  /** How long before its time an email may be claimed: the job is ready as long before. */
  prefetchMs: number;
  log: Logger;
}

/** Emails due within one tick share a job. */
const tickMs = 100;
/**
 * Longest time ahead for which a job is added. An email due later comes within it later, and
 * each dispatcher's look every second answers when the next email is due.
 */
const horizonMs = 60_000;
/** `add` hangs while Redis is down. */
const addTimeoutMs = 5_000;
/** Ticks that were added, remembered so that a flood adds one job for each tick. */
const rememberedMax = 2_000;

const jobOptions = {
  attempts: 1,
  removeOnFail: true,
  removeOnComplete: { age: 3_600, count: 1_000 },
};

export function createTicks(deps: TicksDeps): Ticks {
  const { queue, region, clockSkew, wakeHere, prefetchMs, log } = deps;
  const outage = createOutageLog(log, "ticks");
  const added = new Set<number>();
  let isWaking = false;

  async function addJob(name: string, options: object): Promise<boolean> {
    try {
      const answer = await within(queue.add(name, {}, { ...jobOptions, ...options }), addTimeoutMs);
      if (answer === null) throw new Error("the queue did not answer in time");
      outage.works();
      return true;
    } catch (error) {
      outage.failed(error);
      return false;
    }
  }

  async function addTick(tick: number, inMs: number): Promise<void> {
    const delay = Math.max(0, Math.floor(inMs));
    if (!(await addJob("tick", { jobId: `${region}-${tick}`, delay }))) added.delete(tick);
  }

  function forgetPast(now: number): void {
    if (added.size < rememberedMax) return;
    for (const tick of added) if ((tick + 1) * tickMs < now) added.delete(tick);
  }

  function wakeOthers(): void {
    if (isWaking) return;
    isWaking = true;
    void addJob("now", {}).then(() => {
      isWaking = false;
    });
  }

  return {
    add({ delayMs }) {
      wakeHere(delayMs);
      if (delayMs <= prefetchMs) return wakeOthers();
      if (delayMs > horizonMs) return;
      const now = clockSkew.now().getTime();
      const tick = Math.floor((now + delayMs) / tickMs);
      forgetPast(now);
      if (added.has(tick) || added.size >= rememberedMax) return;
      added.add(tick);
      void addTick(tick, tick * tickMs - prefetchMs - now);
    },
    wakeOthers,
  };
}

/** Where no other process can listen: this process wakes itself, and nothing is queued. */
export function createOwnTicks(wakeHere: (inMs: number) => void): Ticks {
  return {
    add: ({ delayMs }) => wakeHere(delayMs),
    wakeOthers() {
      // Nobody is there.
    },
  };
}
