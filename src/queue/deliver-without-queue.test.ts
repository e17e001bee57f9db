import { expect, test } from "bun:test";
import { createLogger } from "../log.ts";
import { createDeliveryWithoutQueue } from "./deliver-without-queue.ts";

const log = createLogger({ level: "silent" });

/** One look of a worker whose queue, jobs and emails are as given. */
async function look(given: {
  unfitMs?: number;
  isPaused?: boolean;
  hasJobs?: boolean;
  idleMs?: number;
  countMax?: number;
}) {
  const asked: number[] = [];
  const delivered: string[] = [];
  const stop = new AbortController();
  let nowMs = 0;
  const withoutQueue = createDeliveryWithoutQueue({
    presence: {
      async listDue({ dueMs, limit }) {
        asked.push(dueMs);
        const ids = ["a", "b", "c"].slice(0, limit);
        return ids.map((id) => ({ id, wake: 1, ownerId: "ada" }));
      },
    },
    queueHealth: { unfitMs: given.unfitMs ?? 0 },
    pause: { isPaused: given.isPaused ?? false },
    countMax: () => given.countMax ?? 10,
    deliver: async ({ emailId }) => {
      delivered.push(emailId);
    },
    log,
    now: () => nowMs,
  });
  if (given.hasJobs) void withoutQueue.duringJob(() => new Promise(() => {}));
  nowMs = given.idleMs ?? 0;
  const running = withoutQueue.run(stop.signal);
  await Bun.sleep(0);
  stop.abort();
  await running;
  return { asked, delivered: delivered.sort() };
}

test("due emails are delivered while the queue takes no jobs", async () => {
  const found = await look({ unfitMs: 2_000, hasJobs: true });
  expect(found).toEqual({ asked: [2_000], delivered: ["a", "b", "c"] });
});

test("and when a worker gets no jobs though emails have been due for long", async () => {
  const found = await look({ idleMs: 5_000 });
  expect(found).toEqual({ asked: [10_000], delivered: ["a", "b", "c"] });
});

test("a queue that gives jobs is left to it, and one that a person has paused", async () => {
  const nothing = { asked: [], delivered: [] };
  expect(await look({ idleMs: 4_000 })).toEqual(nothing);
  expect(await look({ idleMs: 60_000, hasJobs: true })).toEqual(nothing);
  expect(await look({ unfitMs: 60_000, isPaused: true })).toEqual(nothing);
});

test("no more are in hand than the worker may hold", async () => {
  expect((await look({ unfitMs: 2_000, countMax: 2 })).delivered).toHaveLength(2);
});
