import { expect, test } from "bun:test";
import type { Queue } from "bullmq";
import { createLogger } from "../log.ts";
import { createEnqueue, type WakeJob } from "./enqueue.ts";
import { leadMs } from "./ready-times.ts";

interface AddedJob {
  data: WakeJob;
  opts: { jobId: string; delay: number; priority: number; attempts: number; removeOnFail: boolean };
}

/** A queue that takes jobs, or does not, as the test says. */
function fakeQueue() {
  const calls: AddedJob[][] = [];
  const state = { isDown: false };
  const addBulk = async (jobs: AddedJob[]) => {
    if (state.isDown) throw new Error("down");
    calls.push(jobs);
    return jobs;
  };
  return { calls, state, queue: { addBulk } as unknown as Queue<WakeJob> };
}

const noon = Date.UTC(2026, 10, 24, 12);
const deps = {
  log: createLogger({ level: "silent" }),
  presence: { unqueue: async () => {} },
  clockSkew: { now: () => new Date(noon), isSkewed: false },
};
const email = (n: number) => ({ id: `id-${n}`, wake: n, delayMs: n * 1000 });

test("a burst travels in one call, each job named after its email and wake", async () => {
  const { queue, calls } = fakeQueue();
  const enqueue = createEnqueue({ ...deps, queue });
  for (let n = 1; n <= 3; n++) enqueue.add(email(n));
  await enqueue.flush(1_000);
  expect(calls.length).toBe(1);
  expect(calls[0]?.map(({ opts }) => opts.jobId)).toEqual(["id-1-1", "id-2-2", "id-3-3"]);
  expect(calls[0]?.[0]?.data).toMatchObject({ emailId: "id-1", wake: 1 });
  expect(calls[0]?.[1]?.opts.delay).toBeGreaterThan(1_500);
  expect(calls[0]?.[0]?.opts).toMatchObject({ attempts: 1, removeOnFail: true });
});

test("what the queue did not take is added when it is back, and nothing throws meanwhile", async () => {
  const { queue, calls, state } = fakeQueue();
  state.isDown = true;
  const enqueue = createEnqueue({ ...deps, queue });
  enqueue.add(email(1));
  await enqueue.flush(50);
  expect(enqueue.backlog).toBe(1);
  state.isDown = false;
  await enqueue.flush(5_000);
  expect(calls.flat().length).toBe(1);
});

test("a backlog that grows too long goes back to the reconciler", async () => {
  const { queue, state } = fakeQueue();
  state.isDown = true;
  const returned = Promise.withResolvers<number>();
  const presence = { unqueue: async (jobs: unknown[]) => returned.resolve(jobs.length) };
  const enqueue = createEnqueue({ ...deps, queue, presence });
  for (let n = 0; n < 20_010; n++) enqueue.add(email(n));
  expect(await returned.promise).toBe(10);
  await enqueue.flush(20);
  expect(enqueue.backlog).toBe(20_000);
  state.isDown = false;
});

test("a job comes before its time and knows its time; what is due at once is not put off", async () => {
  const { queue, calls } = fakeQueue();
  const enqueue = createEnqueue({ ...deps, queue });
  for (const delayMs of [60_000, 20, 0, -500])
    enqueue.add({ id: `in-${delayMs}`, wake: 1, delayMs });
  await enqueue.flush(1_000);
  const [later, ...soon] = calls.flat();
  expect(later?.opts.delay).toBeLessThanOrEqual(60_000 - leadMs);
  expect(later?.opts.delay).toBeGreaterThan(55_000);
  expect(later?.data.dueAt).toBeLessThanOrEqual(noon + 60_000);
  expect(later?.data.dueAt).toBeGreaterThan(noon + 55_000);
  expect(soon.map(({ opts }) => opts.delay)).toEqual([0, 0, 0]);
});

test("an email is not behind another owner's flood, neither in the queue nor on the way to it", async () => {
  const { queue, calls } = fakeQueue();
  const enqueue = createEnqueue({ ...deps, queue });
  const add = (id: string, ownerId: string) => enqueue.add({ id, wake: 1, delayMs: 0, ownerId });
  for (let n = 0; n < 2_000; n++) add(`flood-${n}`, "ada");
  add("single", "bob");
  await enqueue.flush(5_000);
  const [first = []] = calls;
  const single = first.find(({ data }) => data.emailId === "single");
  const before = calls.flat().filter(({ opts }) => opts.priority < (single?.opts.priority ?? 0));
  expect(single).toBeDefined();
  expect(before.length).toBe(0);
});

test("a flood's jobs become ready from its moment on, and say so", async () => {
  const { queue, calls } = fakeQueue();
  const enqueue = createEnqueue({ ...deps, queue });
  const dueAt = noon + 60_000;
  const add = (id: string, ownerId: string) =>
    enqueue.add({ id, wake: 1, delayMs: 60_000, dueAt, ownerId });
  for (let n = 0; n < 1_000; n++) add(`flood-${n}`, "ada");
  add("single", "bob");
  await enqueue.flush(5_000);
  const jobs = calls.flat();
  for (const { data, opts } of jobs) {
    if (data.readyAt === undefined) expect(opts.delay).toBeLessThanOrEqual(60_000);
    else expect(data.readyAt).toBe(noon + opts.delay);
  }
  expect(jobs.filter(({ data }) => data.readyAt !== undefined).length).toBeGreaterThan(900);
  const single = jobs.find(({ data }) => data.emailId === "single");
  expect(single?.opts.delay).toBe(60_000 - leadMs);
});

test("what the queue does not take for a while is put off no further for it", async () => {
  const { queue, calls, state } = fakeQueue();
  state.isDown = true;
  const enqueue = createEnqueue({ ...deps, queue });
  const dueAt = noon + 60_000;
  for (let n = 0; n < 200; n++) {
    enqueue.add({ id: `flood-${n}`, wake: 1, delayMs: 60_000, dueAt, ownerId: "ada" });
  }
  await enqueue.flush(1_200);
  state.isDown = false;
  await enqueue.flush(5_000);
  const latest = Math.max(...calls.flat().map(({ opts }) => opts.delay));
  expect(latest).toBe(60_000 + Math.floor((200 - 20 - 10 - 1) / 5));
});

test("by a clock that is off nothing is put off", async () => {
  const { queue, calls } = fakeQueue();
  const clockSkew = { now: () => new Date(noon), isSkewed: true };
  const enqueue = createEnqueue({ ...deps, clockSkew, queue });
  const dueAt = noon + 60_000;
  for (let n = 0; n < 200; n++) {
    enqueue.add({ id: `flood-${n}`, wake: 1, delayMs: 60_000, dueAt, ownerId: "ada" });
  }
  await enqueue.flush(5_000);
  expect(new Set(calls.flat().map(({ opts }) => opts.delay))).toEqual(new Set([60_000 - leadMs]));
});

test("an owner's emails share a line, which does not name them; those behind a flood are told", async () => {
  const { queue, calls } = fakeQueue();
  const enqueue = createEnqueue({ ...deps, queue });
  const add = (ownerId: string) => enqueue.add({ id: ownerId, wake: 1, delayMs: 0, ownerId });
  for (let n = 0; n < 30; n++) add("ada");
  add("bob");
  await enqueue.flush(5_000);
  const jobs = calls.flat().map(({ data }) => data);
  const ada = jobs.filter(({ emailId }) => emailId === "ada");
  expect(new Set(ada.map(({ line }) => line)).size).toBe(1);
  expect(ada.filter(({ isBehind }) => isBehind).length).toBe(10);
  const bob = jobs.find(({ emailId }) => emailId === "bob");
  expect(bob?.isBehind).toBeUndefined();
  expect(bob?.line).not.toBe(ada[0]?.line);
  expect(JSON.stringify(jobs.map(({ line }) => line))).not.toContain("bob");
});

test("the queue is asked how far it has come only while somebody has a place in it", async () => {
  const { queue } = fakeQueue();
  const asked: unknown[][] = [];
  queue.getJobs = async (...args: unknown[]) => {
    asked.push(args);
    return [];
  };
  const enqueue = createEnqueue({ ...deps, queue });
  await enqueue.look();
  enqueue.add({ ...email(0), ownerId: "ada" });
  await enqueue.flush(1_000);
  await enqueue.look();
  await enqueue.look();
  expect(asked).toEqual([[["prioritized"], 0, 0, true]]);
});

test("a time that is known counts, not how long it was when the database answered", async () => {
  const { queue, calls } = fakeQueue();
  const enqueue = createEnqueue({ ...deps, queue });
  enqueue.add({ id: "e", wake: 1, delayMs: 61_500, dueAt: noon + 60_000 });
  await enqueue.flush(1_000);
  const [job] = calls.flat();
  expect(job?.data.dueAt).toBe(noon + 60_000);
  expect(job?.opts.delay).toBe(60_000 - leadMs);
});
