import type { Queue } from "bullmq";
import { within } from "./abortable.ts";

/**
 * Whether somebody has paused the region's queue. Its workers know by themselves; what is delivered
 * without a job has to ask.
 */
export interface QueuePause {
  /** As it was when last seen, by any process; true until it was seen first. */
  readonly isPaused: boolean;
  /** To be called every second. Never rejects; a queue that is down leaves all as it was. */
  look(): Promise<void>;
  /** This process has paused or resumed it. */
  note(isPaused: boolean): void;
}

const lookTimeoutMs = 1_500;

export function createQueuePause(queue: Pick<Queue, "isPaused">): QueuePause {
  let isPaused = true;
  /** What was asked before a note knows nothing of it. */
  let notes = 0;
  let looking: Promise<void> | null = null;

  async function ask(): Promise<void> {
    const asked = notes;
    // A queue that is down answers when it is back, or not; it has a word of its own in the log.
    const answer = await queue.isPaused().catch(() => null);
    if (answer !== null && asked === notes) isPaused = answer;
    looking = null;
  }

  return {
    get isPaused() {
      return isPaused;
    },
    async look() {
      looking ??= ask();
      await within(looking, lookTimeoutMs);
    },
    note(paused) {
      notes += 1;
      isPaused = paused;
    },
  };
}
