/** Bounds the bytes of messages held in memory at one time, by accepting and sending together. */
export interface ByteSemaphore {
  /** Bytes taken and not given back. */
  readonly inUse: number;
  /**
   * Null when there is no room now; else gives the bytes back when called (once is enough).
   * `ownBytes` of what is in use belong to whoever asks: it need not wait for itself.
   */
  tryAcquire(bytes: number, ownBytes?: number): (() => void) | null;
  /** Waits its turn, first come, first served. Rejects with the signal's reason when aborted. */
  acquire(bytes: number, signal: AbortSignal): Promise<() => void>;
}

/**
 * A request that is larger than the whole is let through when nobody else is: it could never be
 * served otherwise.
 */
export function createByteSemaphore({ bytesMax }: { bytesMax: number }): ByteSemaphore {
  let inUse = 0;
  const waiters: { bytes: number; grant: (giveBack: () => void) => void }[] = [];

  function hasRoom(bytes: number, ownBytes = 0): boolean {
    return inUse <= ownBytes || inUse + bytes <= bytesMax;
  }

  function take(bytes: number): () => void {
    inUse += bytes;
    let isBack = false;
    return () => {
      if (isBack) return;
      isBack = true;
      inUse -= bytes;
      serve();
    };
  }

  function serve(): void {
    for (let first = waiters[0]; first && hasRoom(first.bytes); first = waiters[0]) {
      waiters.shift();
      first.grant(take(first.bytes));
    }
  }

  function wait(bytes: number, signal: AbortSignal): Promise<() => void> {
    return new Promise((resolve, reject) => {
      const waiter = {
        bytes,
        grant(giveBack: () => void): void {
          signal.removeEventListener("abort", onAbort);
          resolve(giveBack);
        },
      };
      function onAbort(): void {
        waiters.splice(waiters.indexOf(waiter), 1);
        reject(signal.reason);
        // Whoever stood behind a large request may fit at once.
        serve();
      }
      signal.addEventListener("abort", onAbort, { once: true });
      waiters.push(waiter);
    });
  }

  return {
    get inUse() {
      return inUse;
    },
    tryAcquire: (bytes, ownBytes = 0) =>
      (waiters.length === 0 || ownBytes > 0) && hasRoom(bytes, ownBytes) ? take(bytes) : null,
    async acquire(bytes, signal) {
      signal.throwIfAborted();
      if (waiters.length === 0 && hasRoom(bytes)) return take(bytes);
      return wait(bytes, signal);
    },
  };
}
