import type { Violation } from "./oracle.ts";

/** One look at what the database says is claimed and at what the processes hold. */
export interface HeldLook {
  /** By a steady clock, in ms. */
  at: number;
  /** Rows in `sending` that are due. */
  claims: { id: string; token: number; workerId: string; isFenced: boolean }[];
  /** Every living process, by its name in the database. */
  workers: Map<string, HeldBy>;
}

export interface HeldBy {
  /** Changes with every beat that reached the database. */
  beat: string;
  /** What it holds, as `<id>:<token>`; asked after the rows were read. Null: it did not answer. */
  held: ReadonlySet<string> | null;
}

/** I11: longer than this no row may be `sending` for a living worker that does not hold it. */
const unheldMsMax = 15_000;
/** A worker gives a beat a second; one whose last is older than this may be cut off, or dead. */
const livingMs = 5_000;

/**
 * Judges looks of about one a second. The time of a row runs while its worker lives, which is
 * to say that its beats reach the database, answers, and does not hold the row by id and token.
 */
export function createHeldJudge() {
  const unheldSince = new Map<string, number>();
  const beats = new Map<string, { beat: string; at: number }>();
  const broken = new Map<string, Violation>();

  function isLiving(workerId: string, { beat, held }: HeldBy, at: number): boolean {
    const known = beats.get(workerId);
    if (known?.beat !== beat) beats.set(workerId, { beat, at });
    return held !== null && at - (beats.get(workerId)?.at ?? at) < livingMs;
  }

  return {
    /** Nothing could be read: whatever was missed so far has to be missed anew. */
    skip: () => unheldSince.clear(),
    look({ at, claims, workers }: HeldLook): void {
      const living = new Map(
        [...workers].filter(([workerId, worker]) => isLiving(workerId, worker, at)),
      );
      const missed = new Set<string>();
      for (const { id, token, workerId, isFenced } of claims) {
        const name = `${id}:${token}`;
        const worker = living.get(workerId);
        if (!worker || worker.held?.has(name)) continue;
        missed.add(name);
        const since = unheldSince.get(name) ?? at;
        unheldSince.set(name, since);
        if (at - since <= unheldMsMax || broken.has(name)) continue;
        const words =
          `${isFenced ? "fenced" : "not fenced"}, claim ${token}, sending for the living worker ` +
          `${workerId} that has not held it for ${Math.round((at - since) / 1000)} s`;
        broken.set(name, { invariant: "I11", emailId: id, words });
      }
      for (const name of unheldSince.keys()) if (!missed.has(name)) unheldSince.delete(name);
    },
    violations: (): Violation[] => [...broken.values()],
  };
}
