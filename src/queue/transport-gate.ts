import { sleep, untilAborted } from "./abortable.ts";

/**
 * Holds emails back, before any claim, while the transport refuses us. After the pause one goes
 * ahead as a probe; its success opens the gate for the others.
 */
export interface TransportGate {
  /** Resolves when this email may be tried; rejects when `signal` aborts. Pair it with `leave`. */
  enter(signal: AbortSignal): Promise<Pass>;
  /** Closes the gate for `delayMs`. */
  pause(delayMs: number): void;
  readonly isOpen: boolean;
  /** False after a conversation that failed without any reply, until one gets a reply again. */
  readonly isReached: boolean;
}

/** One passage through the gate. */
export interface Pass {
  /** What the passage showed of the transport; nothing, when it never got that far. */
  leave(showed: "works" | "unreachable" | "nothing"): void;
}

export function createTransportGate(): TransportGate {
  let pausedUntil = 0;
  let isProbing = false;
  let isClosed = false;
  let isReached = true;
  let changed = Promise.withResolvers<void>();

  const wakeAll = () => {
    changed.resolve();
    changed = Promise.withResolvers<void>();
  };
  // Monotonic, so that a clock that is set cannot prolong the pause.
  const now = () => performance.now();
  const canPass = () => !isClosed || (!isProbing && now() >= pausedUntil);

  function pass(): Pass {
    const isProbe = isClosed;
    if (isProbe) isProbing = true;
    return {
      leave(showed) {
        if (showed !== "nothing") isReached = showed === "works";
        if (isProbe) isProbing = false;
        if (isProbe && showed === "works" && now() >= pausedUntil) isClosed = false;
        if (isProbe) wakeAll();
      },
    };
  }

  return {
    get isOpen() {
      return !isClosed;
    },
    get isReached() {
      return isReached;
    },
    async enter(signal) {
      while (!canPass()) {
        // While a probe is under way only its end changes anything.
        const untilOpen = isProbing ? [] : [sleep(Math.max(1, pausedUntil - now()), signal)];
        await untilAborted(Promise.race([changed.promise, ...untilOpen]), signal);
      }
      signal.throwIfAborted();
      return pass();
    },
    pause(delayMs) {
      isClosed = true;
      pausedUntil = Math.max(pausedUntil, now() + delayMs);
    },
  };
}
