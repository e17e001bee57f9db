import { expect, test } from "bun:test";
import { DelayedError, type Job, type Processor } from "bullmq";
import { createLogger } from "../log.ts";
import type { ClaimOptions } from "../store/attempts.ts";
import { createDirectDelivery } from "./direct-delivery.ts";
import type { WakeJob } from "./enqueue.ts";
import { noFailPoints } from "./fail-points.ts";
import { createHeadroom } from "./headroom.ts";
import { createHoldings } from "./holdings.ts";
import { noRateLimit } from "./rate-limit.ts";
import { aheadMs, leadMs, readyPerMs } from "./ready-times.ts";
import { createEmailWorker, type EmailWorkerDeps } from "./worker.ts";

/** A worker whose jobs the test gives it, and the moments at which it claimed. */
function workerOfTest({
  driver = "redis",
  answer = { kind: "stale" } as unknown,
  room = true,
  queue = async (): Promise<void> => {},
  headroom = createHeadroom({ behindMax: 1, jobsMax: { alone: 1, shared: 1 } }),
} = {}) {
  const claims: number[] = [];
  const ahead: (number | undefined)[] = [];
  const putOff: number[] = [];
  const unqueued: object[] = [];
  const told: WakeJob[] = [];
  const held: unknown[] = [];
  const holdings = createHoldings();
  let run: Processor<WakeJob, void> | null = null;
  const deps = {
    backend: {
      driver,
      createWorker: (_: string, processor: Processor<WakeJob, void>) => {
        run = processor;
        return { on: () => {}, pause: async () => {}, close: async () => {} };
      },
    },
    attempts: {
      claim: async (_id: string, _wake: number, { aheadMs }: ClaimOptions) => {
        claims.push(Date.now());
        ahead.push(aheadMs);
        return answer;
      },
    },
    presence: {
      unqueue: async (jobs: object[]) => void unqueued.push(...jobs),
      listDue: async () => [],
    },
    pause: { isPaused: false },
    queueHealth: { unfitMs: 0 },
    clockSkew: { now: () => new Date() },
    breaker: { enter: async () => ({ leave: () => {} }) },
    rateLimit: noRateLimit,
    failPoints: noFailPoints,
    log: createLogger({ level: "silent" }),
    headroom,
    holdings,
    settling: { repeating: 0, awaitRoom: async () => {}, idle: async () => {} },
    direct: {
      ...createDirectDelivery({ runningMax: 1, behindMax: 1, isFit: () => true, holdings }),
      open: () => {},
      close: () => {},
      countDelivered: () => {},
      hasRoomAhead: room,
      holdUntilDue: (email: unknown) => held.push(email),
    },
  };
  const worker = createEmailWorker(deps as unknown as EmailWorkerDeps);
  const moveToDelayed = async (at: number) => {
    await queue();
    putOff.push(at);
  };
  const updateData = async (data: WakeJob) => void told.push(data);
  const job = (data: WakeJob) => ({ data, moveToDelayed, updateData }) as unknown as Job<WakeJob>;
  const start = async (data: WakeJob) => await run?.(job(data), "token");
  return { worker, claims, ahead, held, putOff, unqueued, told, run: start };
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

test("a drain ends the wait without a claim, and leaves the job to others", async () => {
  const { run, claims, putOff, unqueued, worker } = workerOfTest();
  const dueAt = Date.now() + leadMs;
  const job = run({ emailId: "e", wake: 1, dueAt }).catch((error: unknown) => error);
  await worker.drain(1_000);
  expect(await job).toBeInstanceOf(DelayedError);
  expect([claims, unqueued]).toEqual([[], []]);
  expect(putOff).toHaveLength(1);
  expect(putOff[0]).toBeLessThan(dueAt);
});

test.each([
  ["that cannot put a job off", { driver: "postgres" }],
  ["that refuses", { queue: () => Promise.reject(new Error("read-only")) }],
  ["that does not answer", { queue: () => new Promise<void>(() => {}) }],
])("a drain hands the email of a queue %s to the reconciler", async (_, options) => {
  const { run, claims, unqueued, worker } = workerOfTest(options);
  const job = run({ emailId: "e", wake: 3, dueAt: Date.now() + leadMs });
  await worker.drain(2_000);
  await job;
  expect(claims).toEqual([]);
  expect(unqueued).toEqual([{ id: "e", wake: 3 }]);
});

const early = (dueInMs = 2_500) => ({
  emailId: "e",
  wake: 1,
  dueAt: Date.now() + dueInMs,
  isBehind: true as const,
});

test("of a flood, a job that comes early is claimed ahead, held, and done", async () => {
  const email = { id: "e", dueInMs: 2_400 };
  const { run, held, ahead, putOff } = workerOfTest({ answer: { kind: "claimed", email } });
  await run(early());
  expect(ahead).toEqual([2 * aheadMs]);
  expect(held).toEqual([email]);
  expect(putOff).toEqual([]);
});

test("an email that is over when its job comes early ends it", async () => {
  const { run, claims, held, putOff } = workerOfTest();
  await run(early());
  expect([claims.length, held, putOff]).toEqual([1, [], []]);
});

test.each([
  ["finds no room", { room: false }],
  ["is not due for longer, by the database", { answer: { kind: "not_due", dueInMs: 9_000 } }],
  ["is to be tried apart from others", { answer: { kind: "suspect" } }],
])("an early job whose email %s comes again at its time", async (_, options) => {
  const { run, held, putOff } = workerOfTest(options);
  const job = early();
  expect(await run(job).catch((error: unknown) => error)).toBeInstanceOf(DelayedError);
  expect(held).toEqual([]);
  expect(putOff).toHaveLength(1);
  expect(Math.abs((putOff[0] ?? 0) - job.dueAt)).toBeLessThan(50);
});

test("what is put off comes one after the other, of each moment, and says so if it takes long", async () => {
  const { run, putOff, told } = workerOfTest({ room: false });
  const [job, other] = [early(5_500), early(5_600)];
  const later = 1_000 * readyPerMs;
  const afterItsTime = async (data: WakeJob) => {
    await run(data).catch(() => {});
    return (putOff.at(-1) ?? 0) - (data.dueAt ?? 0);
  };
  for (let n = 0; n < later + readyPerMs; n++) await afterItsTime(job);
  expect(Math.abs(await afterItsTime(other))).toBeLessThan(50);
  expect(await afterItsTime(job)).toBeGreaterThanOrEqual(1_000);
  expect(told.length).toBe(readyPerMs);
  expect(told[0]).toEqual({ ...job, readyAt: job.dueAt + 1_000 + 1 / readyPerMs });
});

test("an early job does not wait long where floods stand before it", async () => {
  const headroom = createHeadroom({ behindMax: 1, jobsMax: { alone: 1, shared: 1 } });
  const never = new AbortController().signal;
  await headroom.enter({ line: 1, isBehind: false }, never);
  const leave = headroom.tryEnter(2);
  expect(headroom.tryEnter(2)).toBeNull();
  const { run, ahead, putOff } = workerOfTest({ headroom });
  const at = performance.now();
  expect(await run(early()).catch((error: unknown) => error)).toBeInstanceOf(DelayedError);
  expect(performance.now() - at).toBeLessThan(2_000);
  expect([ahead.length, putOff.length]).toEqual([0, 1]);
  leave?.();
  await run(early());
  expect(ahead.length).toBe(1);
});

test.each([
  ["nobody floods", { isBehind: undefined }, {}],
  ["it comes within its lead", { dueAt: Date.now() }, {}],
  ["it was promoted long before", { dueAt: Date.now() + 60_000 }, {}],
  ["its queue cannot put a job off", {}, { driver: "postgres" }],
])("nothing is claimed ahead when %s", async (_, fields, options) => {
  const { run, ahead, held } = workerOfTest(options);
  await run({ ...early(), ...fields } as WakeJob);
  expect([ahead, held]).toEqual([[undefined], []]);
});
