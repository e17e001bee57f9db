import { expect, test } from "bun:test";
import type { Queue } from "bullmq";
import { createLogger } from "../log.ts";
import { createEnqueue, type WakeJob } from "./enqueue.ts";

interface AddedJob {
  data: WakeJob;
  opts: { jobId: string; delay: number; attempts: number; removeOnFail: boolean };
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

const log = createLogger({ level: "silent" });
const email = (n: number) => ({ id: `id-${n}`, wake: n, delayMs: n * 1000 });

test("a burst travels in one call, each job named after its email and wake", async () => {
  const { queue, calls } = fakeQueue();
  const enqueue = createEnqueue({ queue, presence: { unqueue: async () => {} }, log });
  for (let n = 1; n <= 3; n++) enqueue.add(email(n));
  await enqueue.flush(1_000);
  expect(calls.length).toBe(1);
  expect(calls[0]?.map(({ opts }) => opts.jobId)).toEqual(["id-1-1", "id-2-2", "id-3-3"]);
  expect(calls[0]?.[0]?.data).toEqual({ emailId: "id-1", wake: 1 });
  expect(calls[0]?.[1]?.opts.delay).toBeGreaterThan(1_500);
  expect(calls[0]?.[0]?.opts).toMatchObject({ attempts: 1, removeOnFail: true });
});

test("what the queue did not take is added when it is back, and nothing throws meanwhile", async () => {
  const { queue, calls, state } = fakeQueue();
  state.isDown = true;
  const enqueue = createEnqueue({ queue, presence: { unqueue: async () => {} }, log });
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
  const enqueue = createEnqueue({ queue, presence, log });
  for (let n = 0; n < 20_010; n++) enqueue.add(email(n));
  expect(await returned.promise).toBe(10);
  await enqueue.flush(20);
  expect(enqueue.backlog).toBe(20_000);
  state.isDown = false;
});
