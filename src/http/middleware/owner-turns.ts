import { AppError } from "../../errors.ts";

/**
 * How many requests of one owner are worked on at a time. Those beyond wait behind their own, so
 * that what an owner asks for all at once is nobody else's waiting line at the database or for
 * the event loop.
 */
export interface OwnerTurns {
  /**
   * Resolves when the request may begin, to what ends its turn. Throws `rate_limited` when too
   * many wait already, or it has waited too long.
   */
  enter(ownerId: string, signal?: AbortSignal): Promise<() => void>;
}

export interface OwnerTurnsOptions {
  /** Requests of one owner at a time. */
  runningMax: number;
  waitingMax?: number;
  waitMs?: number;
  /** Between the end of one turn and the next of the same owner; default: none. */
  pauseMs?: (ownerId: string, tookMs: number) => number;
}

interface Line {
  running: number;
  waiting: (() => void)[];
}

export function createOwnerTurns(options: OwnerTurnsOptions): OwnerTurns {
  const { runningMax, waitingMax = 200, waitMs = 10_000, pauseMs = () => 0 } = options;
  const lines = new Map<string, Line>();

  function begin(ownerId: string, line: Line): () => void {
    const begunAt = performance.now();
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      const pause = pauseMs(ownerId, performance.now() - begunAt);
      if (pause > 0) setTimeout(() => next(ownerId, line), pause);
      else next(ownerId, line);
    };
  }

  /** The place of one that ended is the next one's, or nobody's. */
  function next(ownerId: string, line: Line): void {
    const waiter = line.waiting.shift();
    if (waiter !== undefined) waiter();
    else line.running -= 1;
    if (line.running === 0) lines.delete(ownerId);
  }

  function wait(ownerId: string, line: Line, signal?: AbortSignal): Promise<() => void> {
    return new Promise((resolve, reject) => {
      const leaveLine = (error: unknown) => {
        const index = line.waiting.indexOf(waiter);
        if (index >= 0) line.waiting.splice(index, 1);
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        reject(error);
      };
      const onAbort = () => leaveLine(signal?.reason);
      const timer = setTimeout(() => leaveLine(tooMany(runningMax)), waitMs);
      const waiter = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        resolve(begin(ownerId, line));
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      line.waiting.push(waiter);
    });
  }

  return {
    async enter(ownerId, signal) {
      const line = lines.get(ownerId) ?? { running: 0, waiting: [] };
      lines.set(ownerId, line);
      if (line.running < runningMax) {
        line.running += 1;
        return begin(ownerId, line);
      }
      if (line.waiting.length >= waitingMax) throw tooMany(runningMax);
      return await wait(ownerId, line, signal);
    },
  };
}

function tooMany(most: number): AppError {
  return new AppError("rate_limited", {
    publicDetail: `No more than ${most} such requests of one owner are worked on at a time, and many wait.`,
    retryAfterSeconds: 2,
  });
}
