/**
 * The last look before a message goes out: as far as this process can see, the next hop takes
 * never more than the limit in any stretch of time, wherever delays came from.
 */
export interface HandOverGuard {
  /**
   * Resolves when a message may be handed over; first come, first served. Rejects when `signal`
   * aborts.
   */
  pass(signal: AbortSignal): Promise<HandOver>;
}

/** Holds a room until one of these is called. */
export interface HandOver {
  /** The next hop has answered, or nobody will know whether it did. */
  answered(): void;
  /** It was not handed over. */
  forgo(): void;
}

export function createHandOverGuard(ratePerSecond: number): HandOverGuard {
  const countMax = Math.max(1, Math.floor(ratePerSecond));
  return new WindowGuard(countMax, (countMax * 1_000) / ratePerSecond);
}

interface HandedOver {
  at: number;
  answeredAt: number | null;
}

/**
 * A next hop whose answers jitter by more than this may be given a little more than the limit in
 * its own seconds; waiting for any jitter would let one slow answer halve the rate.
 */
const jitterMsMax = 250;

/**
 * Of `countMax` messages and one more, the next hop takes the last no sooner than `windowMs`
 * after the first. When it takes one we know only by its answer: as much as that came later than
 * the quickest answer comes, the taking may have been late, and so much longer its room is held.
 */
class WindowGuard implements HandOverGuard {
  private readonly waiters: ((handOver: HandOver) => void)[] = [];
  private timer: Timer | null = null;
  /** Those that hold a room, oldest first. */
  private readonly rooms: HandedOver[] = [];
  private readonly quickest = createQuickest();

  constructor(
    private readonly countMax: number,
    private readonly windowMs: number,
  ) {}

  pass(signal: AbortSignal): Promise<HandOver> {
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.waiters.splice(this.waiters.indexOf(grant), 1);
        reject(signal.reason);
      };
      const grant = (handOver: HandOver): void => {
        signal.removeEventListener("abort", abort);
        resolve(handOver);
      };
      if (signal.aborted) return reject(signal.reason);
      signal.addEventListener("abort", abort);
      this.waiters.push(grant);
      this.pump();
    });
  }

  private pump(): void {
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
    while (this.rooms[0] && this.untilFree(this.rooms[0]) <= 0) this.rooms.shift();
    while (this.waiters.length > 0 && this.rooms.length < this.countMax) {
      this.waiters.shift()?.(this.handOver());
    }
    if (this.waiters.length === 0 || !this.rooms[0]) return;
    const waitMs = Math.max(1, Math.ceil(this.untilFree(this.rooms[0])));
    this.timer = setTimeout(() => this.pump(), waitMs);
  }

  private untilFree({ at, answeredAt }: HandedOver): number {
    const now = performance.now();
    const lateMs = (answeredAt ?? now) - at - this.quickest.ms;
    return at + this.windowMs + Math.min(Math.max(lateMs, 0), jitterMsMax) - now;
  }

  private handOver(): HandOver {
    const entry: HandedOver = { at: performance.now(), answeredAt: null };
    this.rooms.push(entry);
    return {
      answered: () => {
        if (entry.answeredAt !== null) return;
        entry.answeredAt = performance.now();
        this.quickest.add(entry.answeredAt - entry.at);
        this.pump();
      },
      forgo: () => {
        if (entry.answeredAt !== null) return;
        this.rooms.splice(this.rooms.indexOf(entry), 1);
        entry.answeredAt = entry.at;
        this.pump();
      },
    };
  }
}

const rememberedMax = 50;

/**
 * The smallest of the last so many, so that a next hop that grew slower is noticed. One alone says
 * nothing of itself: until there are two, any answer may have been a late one.
 */
function createQuickest() {
  const last: number[] = [];
  let ms = 0;
  return {
    get ms() {
      return ms;
    },
    add(tookMs: number): void {
      last.push(tookMs);
      if (last.length > rememberedMax) last.shift();
      if (last.length > 1) ms = Math.min(...last);
    },
  };
}
