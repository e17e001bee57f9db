import { isAppError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { sleep } from "./abortable.ts";

export interface Repetition {
  /** As the log shall name it. */
  name: string;
  everyMs: number;
  step: () => Promise<void>;
  log: Logger;
  signal: AbortSignal;
  /** Ends a pause early. */
  nudge?: Nudge;
}

/** Runs `step` again and again until the signal; a failure is logged once and tried again. */
export async function repeatSteadily(repetition: Repetition): Promise<void> {
  const { name, everyMs, step, log, signal, nudge } = repetition;
  let isFailing = false;
  while (!signal.aborted) {
    const nudged = nudge?.next();
    try {
      await step();
      if (isFailing) log.info("works again", { component: name });
      isFailing = false;
    } catch (error) {
      const level = isAppError(error, "database_unavailable") ? "warn" : "error";
      if (!isFailing) log[level]("failed; trying again", { component: name, err: error });
      isFailing = true;
    }
    // The abort is the end of the loop, not a failure.
    const pause = sleep(everyMs, signal).catch(() => undefined);
    await (nudged ? Promise.race([pause, nudged]) : pause);
  }
}

/** Lets one loop tell another that there is something to do now. */
export interface Nudge {
  give(): void;
  /** Resolves with the next nudge that is given after this call. */
  next(): Promise<void>;
}

export function createNudge(): Nudge {
  let given = Promise.withResolvers<void>();
  return {
    give() {
      given.resolve();
      given = Promise.withResolvers<void>();
    },
    next: () => given.promise,
  };
}
