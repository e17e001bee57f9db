/** How much this process can send, by what it has sent. */
export interface Pace {
  /** Emails of the busiest second of the last day. */
  readonly best: number;
  /** Of the last second that is over, or of this one when that has more. */
  readonly recent: number;
  count(): void;
  /** Begins anew. */
  forget(): void;
}

const rememberedSeconds = 86_400;

/** `now`: a steady clock in ms. */
export function createPace(now: () => number): Pace {
  let current = { second: 0, count: 0 };
  let last = current;
  let best = current;
  return {
    get recent() {
      const second = Math.floor(now() / 1_000);
      const counts = [last, current].map((one) => (second - one.second <= 1 ? one.count : 0));
      return Math.max(...counts);
    },
    get best() {
      const isRecent = now() / 1_000 - best.second < rememberedSeconds;
      return Math.max(current.count, isRecent ? best.count : 0);
    },
    count() {
      const second = Math.floor(now() / 1_000);
      if (current.second !== second) {
        last = current;
        current = { second, count: 0 };
      }
      current.count += 1;
      if (current.count >= best.count || second - best.second >= rememberedSeconds) best = current;
    },
    forget() {
      current = { second: Math.floor(now() / 1_000), count: 0 };
      best = current;
    },
  };
}
