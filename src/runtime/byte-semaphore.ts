/**
 * Bounds the bytes of messages held in memory at one time. Callers, who send bodies and read
 * messages, leave a quarter to deliveries, and each owner among them leaves three to the others.
 */
export interface ByteSemaphore {
  /** Bytes taken and not given back. */
  readonly inUse: number;
  /** False while even a small request finds no room. */
  readonly hasRoom: boolean;
  /** Null when a caller's bytes find no room now; else gives them back when called (once is enough). */
  tryAcquire(bytes: number, caller?: Caller): (() => void) | null;
  /**
   * For a delivery: waits its turn, large messages first come, first served, small ones beside them.
   * One delivery is always let through, whatever callers hold. Rejects with the signal's reason when aborted.
   */
  acquire(bytes: number, signal: AbortSignal): Promise<() => void>;
}

/** For whom, and for what, bytes are taken. */
export interface Caller {
  /** Whose share they count against; absent: nobody's. */
  ownerId?: string | undefined;
  /**
   * `upload`: as long as a client takes to send or to read them; `work`: as long as we take.
   * Default: work, which a stalled client cannot prolong.
   */
  use?: "upload" | "work";
  /** Of what is in use for it, taken for the same request already: it need not wait for itself. */
  ownBytes?: number;
}

/** Of all bytes: what callers may hold, what their uploads may, and what one owner may. */
const callersShare = 3 / 4;
const uploadsShare = 1 / 2;
const ownerShare = 1 / 4;
/** Requests this small find room beyond that: most hold a few kilobytes, and for milliseconds. */
const smallBytes = 1024 * 1024;
const smallShare = 7 / 8;
/** What large messages leave to small ones while they are sent. */
const largeDeliveriesShare = 15 / 16;
/** What others hold while a request counts as alone. */
const negligibleShare = 1 / 16;

interface Held {
  upload: number;
  work: number;
}

export function createByteSemaphore({ bytesMax }: { bytesMax: number }): ByteSemaphore {
  const callers = createCallers(bytesMax, () => deliveries.bytes());
  const deliveries = createDeliveries(bytesMax, () => callers.bytes());
  return {
    get inUse() {
      return callers.bytes() + deliveries.bytes();
    },
    get hasRoom() {
      return callers.fits(Math.min(smallBytes, bytesMax / 16), {});
    },
    tryAcquire(bytes, caller = {}) {
      if (!callers.fits(bytes, caller)) return null;
      return once(callers.take(bytes, caller), deliveries.serve);
    },
    async acquire(bytes, signal) {
      signal.throwIfAborted();
      return deliveries.wait(bytes, signal);
    },
  };
}

function once(giveBack: () => void, serve: () => void): () => void {
  let isBack = false;
  return () => {
    if (isBack) return;
    isBack = true;
    giveBack();
    serve();
  };
}

/**
 * A request larger than its share is let through when no other work of its owner's, or of
 * anybody's, is there: it could never be served otherwise.
 */
function createCallers(bytesMax: number, delivering: () => number) {
  const all: Held = { upload: 0, work: 0 };
  const owners = new Map<string, Held>();
  const sum = (held: Held) => held.upload + held.work;

  function fitsOwner(bytes: number, { ownerId, use = "work", ownBytes = 0 }: Caller): boolean {
    const own = ownerId === undefined ? undefined : owners.get(ownerId);
    if (own === undefined || own[use] <= ownBytes) return true;
    return sum(own) + bytes <= bytesMax * ownerShare;
  }

  return {
    bytes: () => sum(all),
    fits(bytes: number, caller: Caller): boolean {
      const { use = "work", ownBytes = 0 } = caller;
      const isSmall = bytes <= smallBytes && use === "work";
      const hasBytes = sum(all) + delivering() + bytes <= bytesMax;
      const isWithin =
        hasBytes &&
        sum(all) + bytes <= bytesMax * (isSmall ? smallShare : callersShare) &&
        (use === "work" || all.upload + bytes <= bytesMax * uploadsShare);
      const isAlone =
        all[use] - ownBytes <= bytesMax * negligibleShare &&
        (use === "work" ? delivering() <= bytesMax * (1 - callersShare) : hasBytes);
      return (isWithin || isAlone) && fitsOwner(bytes, caller);
    },
    take(bytes: number, { use = "work", ownerId = "" }: Caller): () => void {
      const own = owners.get(ownerId) ?? { upload: 0, work: 0 };
      owners.set(ownerId, own);
      all[use] += bytes;
      own[use] += bytes;
      return () => {
        all[use] -= bytes;
        own[use] -= bytes;
        if (sum(own) === 0 && owners.get(ownerId) === own) owners.delete(ownerId);
      };
    },
  };
}

function createDeliveries(bytesMax: number, called: () => number) {
  let delivering = 0;
  const waiters: { bytes: number; grant: (giveBack: () => void) => void }[] = [];

  function hasTurn(bytes: number): boolean {
    const most = bytes <= smallBytes ? bytesMax : bytesMax * largeDeliveriesShare;
    return delivering === 0 || called() + delivering + bytes <= most;
  }

  function take(bytes: number): () => void {
    delivering += bytes;
    return once(() => {
      delivering -= bytes;
    }, serve);
  }

  /** Small messages pass by a large one that waits: one owner's would hold up everybody's. */
  function serve(): void {
    let isLargeWaiting = false;
    for (const waiter of [...waiters]) {
      const isSmall = waiter.bytes <= smallBytes;
      if ((isSmall || !isLargeWaiting) && hasTurn(waiter.bytes)) {
        waiters.splice(waiters.indexOf(waiter), 1);
        waiter.grant(take(waiter.bytes));
      } else if (!isSmall) isLargeWaiting = true;
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
        // A request that waited behind a large one may fit at once.
        serve();
      }
      signal.addEventListener("abort", onAbort, { once: true });
      waiters.push(waiter);
      serve();
    });
  }

  return { bytes: () => delivering, serve, wait };
}
