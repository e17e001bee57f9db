import type { WriteMark } from "./recent-writers.ts";

type Sample = Pick<WriteMark, "lsn" | "askedAtMs" | "answeredAtMs">;

/** Where the primary's log was and when, which says how far behind a place in it is. */
export interface ReplicaLag {
  add(sample: Sample): void;
  /** Everything that was committed before this moment lies below the answer; null: not known. */
  reachedAt(atMs: number): bigint | null;
  /** How long ago the primary was beyond `lsn` at the least, in ms; 0: it was never seen to be. */
  lagOf(lsn: bigint, nowMs: number): number;
}

/** Enough for a minute and more at any rate of looks; a longer lag is told more coarsely. */
const samplesMax = 1_000;

/** No clock of another machine takes part: both ends are asked by us, and ours says when. */
export function createReplicaLag(): ReplicaLag {
  let samples: Sample[] = [];
  return {
    add(sample) {
      const last = samples.at(-1);
      if (last !== undefined && sample.lsn < last.lsn) {
        // Two questions at one time, of which the first had its answer last.
        if (sample.askedAtMs <= last.answeredAtMs) return;
        // Another primary, after a failover: what the former one said is worth nothing.
        samples = [];
      }
      const { lsn, askedAtMs, answeredAtMs } = sample;
      samples.push({ lsn, askedAtMs, answeredAtMs });
      if (samples.length > samplesMax) samples = samples.filter((_, index) => index % 2 === 0);
    },
    reachedAt: (atMs) => samples.find(({ askedAtMs }) => askedAtMs >= atMs)?.lsn ?? null,
    lagOf(lsn, nowMs) {
      const missing = samples.find((sample) => sample.lsn > lsn);
      return missing === undefined ? 0 : Math.max(0, nowMs - missing.askedAtMs);
    },
  };
}
