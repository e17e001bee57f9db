/**
 * Two clocks over one stretch of a conversation: a step (one command and its whole reply) and the
 * stretch itself. Bytes alone move neither, so a server that trickles gains nothing by it.
 */
export interface Deadline {
  /** Begins a new stretch; null: no limit. */
  start(limits: { stepMs: number; totalMs: number } | null): void;
  /** The step is done; the next one has its full time again. */
  step(): void;
  stop(): void;
}

export function createDeadline(onExpired: (afterMs: number) => void): Deadline {
  let stepTimer: ReturnType<typeof setTimeout> | undefined;
  let totalTimer: ReturnType<typeof setTimeout> | undefined;
  let stepMs = 0;

  function stop(): void {
    clearTimeout(stepTimer);
    clearTimeout(totalTimer);
    stepTimer = undefined;
    totalTimer = undefined;
  }

  return {
    start(limits) {
      stop();
      if (!limits) return;
      stepMs = limits.stepMs;
      stepTimer = setTimeout(() => onExpired(limits.stepMs), limits.stepMs);
      totalTimer = setTimeout(() => onExpired(limits.totalMs), limits.totalMs);
    },
    step() {
      if (stepTimer === undefined) return;
      clearTimeout(stepTimer);
      stepTimer = setTimeout(() => onExpired(stepMs), stepMs);
    },
    stop,
  };
}
