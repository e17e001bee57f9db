import { expect, test } from "bun:test";
import type { Attempts } from "../../store/attempts.ts";
import { measureAttempts } from "./measure-attempts.ts";
import { createMetrics } from "./metrics.ts";

test("a measured claim says all that the claim said", async () => {
  const heard: unknown[] = [];
  const attempts = {
    async claim(...job: unknown[]) {
      heard.push(job);
      return { kind: "stale" as const };
    },
  } as unknown as Attempts;
  const measured = measureAttempts(createMetrics(), attempts);
  await measured.claim("an id", 3, { isIsolated: true, isAgain: true });
  expect(heard).toEqual([["an id", 3, { isIsolated: true, isAgain: true }]]);
});
