/**
 * How many may be under way at once: all of them at first; one, two, four … after a restart, as
 * each success makes room for one more. Where the server had had enough the last time, the growth
 * slows down to one more each round (as TCP and Postfix's destination concurrency do).
 */
export interface SlowStart {
  readonly limit: number;
  readonly hasRoom: boolean;
  /** As many as ever are let through. */
  readonly isWide: boolean;
  begin(): void;
  end(showed: "works" | "nothing"): void;
  /** From now on, so many as are under way are too many. */
  halve(): void;
  /** Attempts under way count no more. The probe before it was the first success. */
  restart(): void;
}

export function createSlowStart(limitMax: number): SlowStart {
  let active = 0;
  let limit = limitMax;
  /** Up to here the limit doubles each round. */
  let doublingMax = limitMax;

  return {
    get limit() {
      return Math.floor(limit);
    },
    get hasRoom() {
      return active < Math.floor(limit);
    },
    get isWide() {
      return Math.floor(limit) >= limitMax;
    },
    begin() {
      active += 1;
    },
    end(showed) {
      active -= 1;
      if (showed !== "works") return;
      limit = Math.min(limitMax, limit + (limit < doublingMax ? 1 : 1 / limit));
      if (limit === limitMax) doublingMax = limitMax;
    },
    halve() {
      doublingMax = Math.max(1, Math.ceil(active / 2));
    },
    restart() {
      active = 0;
      limit = Math.min(2, limitMax);
    },
  };
}
