import { expect, test } from "bun:test";
import type { Attempts, DueRequest } from "../store/attempts.ts";
import { measureAttempts } from "./measure-attempts.ts";
import { createMetrics, prefix } from "./metrics.ts";

test("a measured claim asks and answers all that the claim does, and counts both", async () => {
  const heard: unknown[] = [];
  const batch = { emails: [{}, {}], hasMore: true };
  const attempts = {
    async claimDue(request: DueRequest) {
      heard.push(request);
      return batch;
    },
  } as unknown as Attempts;
  const metrics = createMetrics();
  const measured = measureAttempts(metrics, attempts).attempts;
  const asked = { region: "local", limit: 3 } as DueRequest;
  expect(await measured.claimDue(asked)).toBe(batch as never);
  expect(heard).toEqual([asked]);
  const text = await metrics.text();
  expect(text).toContain(`${prefix}claims_total 1`);
  expect(text).toContain(`${prefix}claimed_emails_total 2`);
});
