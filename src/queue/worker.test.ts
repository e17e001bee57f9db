import { expect, test } from "bun:test";
import type { Job, Processor } from "bullmq";
import { createLogger } from "../log.ts";
import { createDirectDelivery } from "./direct-delivery.ts";
import type { WakeJob } from "./enqueue.ts";
import { noFailPoints } from "./fail-points.ts";
import { createHeadroom } from "./headroom.ts";
import { noRateLimit } from "./rate-limit.ts";
import { leadMs } from "./ready-times.ts";
import { createEmailWorker, type EmailWorkerDeps } from "./worker.ts";

/** A worker whose jobs the test gives it, and the moments at which it claimed. */
function workerOfTest() {
  const claims: number[] = [];
  let run: Processor<WakeJob, void> | null = null;
  const deps = {
    backend: {
      createWorker: (_: string, processor: Processor<WakeJob, void>) => {
        run = processor;
        return { on: () => {}, pause: async () => {}, close: async () => {} };
      },
    },
    attempts: {
      claim: async () => {
        claims.push(Date.now());
        return { kind: "stale" };
      },
    },
    presence: { unqueue: async () => {} },
    clockSkew: { now: () => new Date() },
    breaker: { enter: async () => ({ leave: () => {} }) },
    rateLimit: noRateLimit,
    failPoints: noFailPoints,
    log: createLogger({ level: "silent" }),
    headroom: createHeadroom({ behindMax: 1, jobsMax: { alone: 1, shared: 1 } }),
    direct: createDirectDelivery({ runningMax: 1, isFit: () => true }),
  };
  const worker = createEmailWorker(deps as unknown as EmailWorkerDeps);
  return { worker, claims, run: (data: WakeJob) => run?.({ data } as Job<WakeJob>, "token") };
}

test("a job that comes within its lead is claimed at its time, not before", async () => {
  const { run, claims } = workerOfTest();
  const dueAt = Date.now() + leadMs / 2;
  await run({ emailId: "e", wake: 1, dueAt });
  expect(claims.length).toBe(1);
  expect(claims[0]).toBeGreaterThanOrEqual(dueAt);
});

test.each([
  ["that is due", { dueAt: Date.now() - 1_000 }],
  ["of an earlier version", {}],
  ["that somebody promoted hours before", { dueAt: Date.now() + 7_200_000 }],
])("a job %s is claimed at once, and the claim decides", async (_, fields) => {
  const { run, claims } = workerOfTest();
  await run({ emailId: "e", wake: 1, ...fields });
  expect(claims.length).toBe(1);
});

test("a drain ends the wait without a claim", async () => {
  const { run, claims, worker } = workerOfTest();
  const job = run({ emailId: "e", wake: 1, dueAt: Date.now() + leadMs });
  await worker.drain(1_000);
  await job;
  expect(claims.length).toBe(0);
});
