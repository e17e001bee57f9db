/** Median of several rounds with the extremes beside it. */
export interface Middle {
  median: number;
  min: number;
  max: number;
}

/** Throws without values: a figure that was not measured must not become a number. */
export function middle(values: number[]): Middle {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  const upper = sorted[Math.floor(half)];
  const lower = sorted[Math.ceil(half) - 1];
  const max = sorted.at(-1);
  const min = sorted[0];
  if (upper === undefined || lower === undefined || min === undefined || max === undefined) {
    throw new Error("the median of nothing");
  }
  return { median: (lower + upper) / 2, min, max };
}

/** Nearest rank: the smallest value that `share` of all do not exceed. */
export function percentile(values: number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
  if (value === undefined) throw new Error("a percentile of nothing");
  return value;
}

/** Round by round, so that what slowed both in a round cancels out. */
export function ratios(ours: number[], theirs: number[]): number[] {
  if (ours.length !== theirs.length) throw new Error("ratios of unequally many rounds");
  return ours.map((value, round) => value / (theirs[round] ?? Number.NaN));
}

/** How far the values are apart: 0.2 when the largest is a fifth above the smallest. */
export function unevenness(values: number[]): number {
  const { min, max } = middle(values);
  return max / min - 1;
}
