/**
 * Gives every email its place in the queue, so that one owner's flood does not delay another's
 * mail. Each owner has so many places in every second; an email takes the owner's first free one
 * at its time or after it. Who sends little always gets a place of this second, and stands before
 * all of a flood that could not be sent yet; who floods stands in line behind themselves alone.
 * (A virtual clock for each owner: Zhang, SIGCOMM 1990.) Places are kept by each process for
 * what it adds; nothing of it has to outlive the process.
 */
export interface FairPlaces {
  /** Where an email due at `dueAt` (ms since 1970) stands; absent: owner unknown. */
  take(ownerId: string | undefined, dueAt: number): Place;
  /**
   * The queue has come as far as `head` (null: nothing waits any more): owners of whom nothing
   * waits begin afresh, so that nobody is held back for what was sent long ago.
   */
  forgetServed(head: number | null, now: number): void;
  readonly isEmpty: boolean;
}

export interface Place {
  /** Since 1970; it is the job's priority. */
  second: number;
  /** How many of the owner's own emails go first, of those it would have met at its time. */
  ahead: number;
}

/** At a contested moment so many emails of one owner go before the first of another's second. */
export const placesPerSecond = 10;
const gapMs = 1_000 / placesPerSecond;
/** Emails are queued ahead of their time, in no order; those of one such span share a line. */
const spanMs = 10_000;

export function createFairPlaces(): FairPlaces {
  /** By owner, and by the span their emails are due in: the first moment that is free. */
  const owners = new Map<string, Map<number, number>>();

  return {
    take(ownerId, dueAt) {
      if (ownerId === undefined) return { second: Math.floor(dueAt / 1_000), ahead: 0 };
      const lines = owners.get(ownerId) ?? new Map<number, number>();
      owners.set(ownerId, lines);
      const span = Math.floor(dueAt / spanMs);
      let at = dueAt;
      for (const [earlier, freeAt] of lines) if (earlier <= span) at = Math.max(at, freeAt);
      lines.set(span, at + gapMs);
      return { second: Math.floor(at / 1_000), ahead: Math.round((at - dueAt) / gapMs) };
    },
    forgetServed(head, now) {
      const servedUntil = head === null ? Number.POSITIVE_INFINITY : head * 1_000;
      const present = Math.floor(now / spanMs);
      for (const [ownerId, lines] of owners) {
        const past = [...lines].filter(([span]) => span <= present);
        const freeAt = Math.max(0, ...past.map(([, at]) => at));
        for (const [span] of past) lines.delete(span);
        if (freeAt > servedUntil) lines.set(present, freeAt);
        if (lines.size === 0) owners.delete(ownerId);
      }
    },
    get isEmpty() {
      return owners.size === 0;
    },
  };
}

/**
 * BullMQ takes the lowest priority first, and priorities from 1 to 2^21 - 1: enough seconds for
 * 24 days. What waits while they begin anew goes last, once.
 */
const secondsOfPriorities = 2 ** 21 - 1;

export function priorityOf(second: number): number {
  return (second % secondsOfPriorities) + 1;
}

/** The second nearest to now (ms) that has this priority. */
export function secondOf(priority: number, now: number): number {
  const present = Math.floor(now / 1_000);
  const half = Math.floor(secondsOfPriorities / 2);
  const ahead =
    (((priority - 1 - (present % secondsOfPriorities) + half) % secondsOfPriorities) +
      secondsOfPriorities) %
    secondsOfPriorities;
  return present + ahead - half;
}
