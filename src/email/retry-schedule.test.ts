import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { retryDelayMs } from "./retry-schedule.ts";

const minuteMs = 60_000;
const hour = 60 * minuteMs;
const ample = { maxRetries: 20, ageMs: 0, maxAgeSeconds: 30 * 24 * 3600 };

describe("retryDelayMs", () => {
  test("retries after 2, 4, 8 … minutes and never later than 4 hours", () => {
    const delays = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((attempts) =>
      retryDelayMs({ ...ample, attempts }, { minuteMs, random: 0 }),
    );
    expect(delays).toEqual([2, 4, 8, 16, 32, 64, 128, 240, 240].map((m) => m * minuteMs));
  });

  test("max_retries 3 means at most 4 attempts", () => {
    const budget = { ...ample, maxRetries: 3 };
    expect(retryDelayMs({ ...budget, attempts: 3 }, { minuteMs, random: 0 })).toBe(8 * minuteMs);
    expect(retryDelayMs({ ...budget, attempts: 4 }, { minuteMs, random: 0 })).toBeNull();
    expect(
      retryDelayMs({ ...budget, maxRetries: 0, attempts: 1 }, { minuteMs, random: 0 }),
    ).toBeNull();
  });

  test("no retry starts after max_age", () => {
    const budget = { ...ample, attempts: 1, maxAgeSeconds: 3600 };
    const clock = { minuteMs, random: 0 };
    expect(retryDelayMs({ ...budget, ageMs: hour - 2 * minuteMs }, clock)).toBe(2 * minuteMs);
    expect(retryDelayMs({ ...budget, ageMs: hour - 2 * minuteMs + 1 }, clock)).toBeNull();
  });

  test("jitter only lengthens, by at most a quarter, and the cap holds", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.double({ min: 0, max: 0.999999, noNaN: true }),
        (attempts, random) => {
          const delay = retryDelayMs({ ...ample, attempts }, { minuteMs, random }) ?? 0;
          const plain = Math.min(2 ** attempts, 240) * minuteMs;
          expect(delay).toBeGreaterThanOrEqual(plain);
          expect(delay).toBeLessThanOrEqual(Math.min(plain * 1.25 + 1, 4 * hour));
          expect(Number.isInteger(delay)).toBe(true);
        },
      ),
    );
  });
});
