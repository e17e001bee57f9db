import { createOwnerTurns } from "./owner-turns.ts";

/**
 * For what is large, read or written. Parsing and judging a large body keeps the event loop busy for up to some 0.3 s, in which nobody
 * else is served. One such body of an owner is parsed at a time, and while others ask as well,
 * three times as long lies between two of them: a quarter of the loop is theirs at most.
 */
export interface ParseTurns {
  /** Notes that this owner asks for something. */
  see(ownerId: string): void;
  enter(ownerId: string, signal?: AbortSignal): Promise<() => void>;
}

/** Others count for so long after their last request. */
const othersCountMs = 5_000;
const pauseFactor = 3;

export function createParseTurns(now: () => number = () => performance.now()): ParseTurns {
  /** The last two owners who asked: one of them is another than any flood's. */
  let seen: { ownerId: string; at: number }[] = [];

  function hasOthers(ownerId: string): boolean {
    return seen.some((one) => one.ownerId !== ownerId && now() - one.at < othersCountMs);
  }

  const turns = createOwnerTurns({
    runningMax: 1,
    pauseMs: (ownerId, tookMs) => (hasOthers(ownerId) ? pauseFactor * tookMs : 0),
  });
  return {
    enter: turns.enter,
    see(ownerId) {
      const newest = seen[0];
      if (newest?.ownerId === ownerId) newest.at = now();
      else
        seen = [{ ownerId, at: now() }, ...seen.filter((one) => one.ownerId !== ownerId)].slice(
          0,
          2,
        );
    },
  };
}
