/** Retries: 2, 4, 8 … minutes, jitter that only lengthens, a cap of 4 hours. */

const longestDelayMinutes = 240;
const jitterMax = 0.25;

/** 3 means at most 4 attempts. */
export const maxRetriesDefault = 3;
/**
 * After 16 and 32 minutes: with the default alone an email is given up 14 minutes after it was due,
 * and some servers greylist for up to an hour.
 */
const greylistedRetriesMore = 2;

/** Retries an email may have; `asked`: max_retries as the caller set it, null: not set. */
export function retriesAllowed(asked: number | null, isGreylisted: boolean): number {
  return asked ?? maxRetriesDefault + (isGreylisted ? greylistedRetriesMore : 0);
}

/** What the schedule looks at. */
export interface RetryBudget {
  /** Attempts made since it was accepted, or last replayed, this one included; from 1. */
  attempts: number;
  /** 3 means at most 4 attempts. */
  maxRetries: number;
  /** Since the moment that `maxAgeSeconds` counts from. */
  ageMs: number;
  maxAgeSeconds: number;
}

export interface RetryClock {
  /** Length of the schedule's minute: 60,000, or less in tests. */
  minuteMs: number;
  /** 0 (inclusive) to 1 (exclusive); passed in so that a test can know it. */
  random: number;
}

/**
 * Milliseconds until the next attempt, whole; null when the email has no retry left or would
 * be older than it may be. Never shorter than 2^attempts minutes, short of the cap.
 */
export function retryDelayMs(budget: RetryBudget, clock: RetryClock): number | null {
  if (budget.attempts > budget.maxRetries) return null;
  const minutes = Math.min(
    2 ** budget.attempts * (1 + clock.random * jitterMax),
    longestDelayMinutes,
  );
  const delayMs = Math.ceil(minutes * clock.minuteMs);
  return budget.ageMs + delayMs > budget.maxAgeSeconds * 1000 ? null : delayMs;
}
