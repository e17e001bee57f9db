import { untilAborted } from "./abortable.ts";

/**
 * Lets the suspects of this process run one at a time. Should the process die meanwhile, the
 * one whose turn it was is the likely cause, and no other suspect is blamed with it.
 */
export interface Isolation {
  /** Runs `work` when its turn comes; rejects when `signal` aborts before that. */
  run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T>;
}

export function createIsolation(): Isolation {
  let last: Promise<unknown> = Promise.resolve();
  return {
    async run(work, signal) {
      const before = last;
      const turn = Promise.withResolvers<void>();
      // Whoever comes next waits for those before us as well, also when we give up.
      last = before.then(() => turn.promise);
      try {
        await untilAborted(before, signal);
        signal.throwIfAborted();
        return await work();
      } finally {
        turn.resolve();
      }
    },
  };
}
