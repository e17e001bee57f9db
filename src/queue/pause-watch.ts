import type { Logger } from "../log.ts";
import { createAnswerWithin } from "../runtime/answer-within.ts";
import type { Pause, Pauses } from "../store/pauses.ts";

/** The pauses in force, as this process knows them, and the way to change them. */
export interface PauseWatch extends Pick<Pauses, "pause" | "resume" | "resumeRestored"> {
  /** As of the last look that was answered, the oldest first; none before the first. */
  readonly last: readonly Pause[];
  /** To be called every second: other processes pause, too. Never rejects. */
  look(): Promise<void>;
}

export interface PauseWatchDeps {
  pauses: Pauses;
  /** Paused emails may be claimed again. */
  onResumed: () => void;
  log: Logger;
}

const timeoutMs = 1_500;

export function createPauseWatch({ pauses, onResumed, log }: PauseWatchDeps): PauseWatch {
  const event = "pauses cannot be read; trying again";
  const answerWithin = createAnswerWithin({ timeoutMs, event, log });
  let last: readonly Pause[] = [];
  let asked = 0;
  let answered = 0;

  /** An answer that comes after that to a later question is out of date. */
  async function look(): Promise<void> {
    asked += 1;
    const turn = asked;
    const found = await answerWithin(pauses.list());
    if (found === null || turn < answered) return;
    answered = turn;
    last = found;
  }

  return {
    get last() {
      return last;
    },
    look,
    async pause(target, by) {
      const pause = await pauses.pause(target, by);
      await look();
      return pause;
    },
    async resume(target, by) {
      const wasPaused = await pauses.resume(target, by);
      await look();
      if (wasPaused) onResumed();
      return wasPaused;
    },
    async resumeRestored(decided, by) {
      const resumed = await pauses.resumeRestored(decided, by);
      await look();
      if (resumed.wasPaused) onResumed();
      return resumed;
    },
  };
}
