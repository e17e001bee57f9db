const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;

/** Waits between the tries of one event; after the last of them it has failed. */
export const retryWaitsMs: readonly number[] = [
  ...[5 * second, 5 * minute, 30 * minute, 2 * hour, 5 * hour],
  ...[10 * hour, 14 * hour, 20 * hour, 24 * hour],
];
const retryAfterMsMax = 24 * hour;

/** Failures in a row after which nothing is begun for a while, and then one event alone. */
export const holdFromFailures = 10;
const holdMsMin = 5 * second;
const holdMsMax = 5 * minute;

export interface WaitOptions {
  /** Length of the minute, as RETRY_BASE_MS says; 60,000 but in tests. */
  minuteMs: number;
  /** Uniform in [0, 1). */
  random: () => number;
}

/**
 * Until the next try of an event that was tried `tries` times; null: that was the last. Up to a tenth
 * more, so that what failed together does not come back together.
 */
export function retryInMs(
  tries: number,
  retryAfterMs: number | null,
  { minuteMs, random }: WaitOptions,
): number | null {
  const wait = retryWaitsMs[tries - 1];
  if (wait === undefined) return null;
  const scaled = wait * (1 + random() / 10) * (minuteMs / minute);
  return Math.ceil(Math.max(scaled, Math.min(retryAfterMs ?? 0, retryAfterMsMax)));
}

/** How long an endpoint is left alone after so many failures in a row; null: it is not. */
export function holdMs(failures: number, { minuteMs, random }: WaitOptions): number | null {
  if (failures < holdFromFailures) return null;
  const doubled = holdMsMin * 2 ** Math.min(failures - holdFromFailures, 10);
  const scaled = Math.min(doubled, holdMsMax) * (1 + random() / 10) * (minuteMs / minute);
  return Math.ceil(scaled);
}
