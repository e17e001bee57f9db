import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { Queue } from "bullmq";
import { createLogger } from "../log.ts";
import { until } from "../testing/servers/child-server.ts";
import { type RedisServer, startRedis } from "../testing/servers/redis-server.ts";
import type { QueueBackend } from "./queue-backend.ts";
import { createRedisQueueBackend } from "./redis-queue-backend.ts";
import { createTicks, type TickJob, type Ticks, tickQueueName } from "./ticks.ts";

const log = createLogger({ level: "silent" });
const prefetchMs = 1_500;
/** At the beginning of a tick, and not before now: BullMQ counts delays by its own clock. */
const startOfTick = () => Math.ceil(Date.now() / 100) * 100;

let redis: RedisServer;
let backends: QueueBackend[];
beforeAll(async () => {
  redis = await startRedis();
}, 60_000);
afterAll(() => redis.stop());
beforeEach(() => {
  backends = [];
});
afterEach(async () => {
  redis.resume();
  await backends[0]?.createQueue(tickQueueName).obliterate({ force: true });
  await Promise.all(backends.map((backend) => backend.close(500)));
});

/** One process: its ticks, and what its dispatcher was woken with. */
async function processOf({ now = () => Date.now(), isListening = false, region = "local" } = {}) {
  const backend = createRedisQueueBackend({
    place: { kind: "single", url: redis.url },
    region,
    log,
  });
  backends.push(backend);
  const queue = backend.createQueue<TickJob>(tickQueueName);
  const woken: number[] = [];
  const listened: number[] = [];
  let added = 0;
  const counting = {
    add: (...args: Parameters<Queue<TickJob>["add"]>) => {
      added += 1;
      return queue.add(...args);
    },
  };
  const ticks: Ticks = createTicks({
    queue: counting,
    region,
    clockSkew: { now: () => new Date(now()) },
    wakeHere: (inMs) => void woken.push(inMs),
    prefetchMs,
    log,
  });
  if (isListening) {
    const take = async () => void listened.push(Date.now());
    backend.createWorker<TickJob>(tickQueueName, take, { concurrency: 1 });
  }
  await queue.waitUntilReady();
  return { ticks, queue, woken, listened, added: () => added };
}

async function delayedCount(queue: Queue<TickJob>, count: number): Promise<void> {
  await until(`${count} jobs wait`, async () => (await queue.getDelayedCount()) === count);
}

describe("a tick", () => {
  test("is one job for all that is due within 100 ms, whichever process accepted it", async () => {
    const at = startOfTick();
    const [a, b] = [await processOf({ now: () => at }), await processOf({ now: () => at })];
    for (let n = 0; n < 1_000; n++) {
      for (const { ticks } of [a, b]) ticks.add({ delayMs: 5_000 + n });
    }
    await delayedCount(a.queue, 10);
    expect([a.added(), b.added()]).toEqual([10, 10]);
    expect(a.woken).toHaveLength(1_000);
    for (const { data } of await a.queue.getDelayed()) expect(data as object).toEqual({});
  });

  test("wakes the dispatcher of another process, as long before its time as emails are claimed", async () => {
    const sleeper = await processOf({ isListening: true });
    const { ticks, woken } = await processOf();
    const dueAt = Date.now() + 2_500;
    ticks.add({ delayMs: 2_500 });
    await until("it is woken", () => sleeper.listened.length > 0);
    // The job stands for its tick, which began up to 100 ms before.
    expect(sleeper.listened[0]).toBeGreaterThanOrEqual(dueAt - prefetchMs - 101);
    expect(sleeper.listened[0]).toBeLessThan(dueAt);
    expect(woken).toEqual([2_500]);
  });

  test("is of one region", async () => {
    const at = startOfTick();
    const a = await processOf({ now: () => at, region: "a" });
    const b = await processOf({ now: () => at, region: "b" });
    for (const { ticks } of [a, b]) ticks.add({ delayMs: 9_000 });
    await delayedCount(a.queue, 2);
  });

  test("beyond a minute has no job; within one it has", async () => {
    const { ticks, queue, woken, added } = await processOf();
    ticks.add({ delayMs: 60_001 });
    ticks.add({ delayMs: 86_400_000 });
    ticks.add({ delayMs: 60_000 });
    await delayedCount(queue, 1);
    expect(added()).toBe(1);
    expect(woken).toEqual([60_001, 86_400_000, 60_000]);
  });
});

describe("what is due now", () => {
  test("a thousand times over is one job under way, which wakes another process", async () => {
    const sleeper = await processOf({ isListening: true });
    const { ticks, added, woken } = await processOf();
    for (let n = 0; n < 1_000; n++) ticks.add({ delayMs: n % prefetchMs });
    expect(added()).toBe(1);
    expect(woken).toHaveLength(1_000);
    await until("it is woken", () => sleeper.listened.length === 1);
    // Once it was added the next is said again: what came after it may not have been seen.
    await until("the next is said", () => {
      ticks.wakeOthers();
      return added() >= 2;
    });
    await until("it is woken again", () => sleeper.listened.length >= 2);
  });
});

describe("a Redis that does not answer", () => {
  test("blocks nobody, is never asked twice at once, and is used again when it does", async () => {
    const { ticks, queue, woken, added } = await processOf();
    redis.pause();
    const startedAt = performance.now();
    for (let n = 0; n < 1_000; n++) ticks.add({ delayMs: 0 });
    for (let n = 0; n < 1_000; n++) ticks.add({ delayMs: 30_000 });
    expect(performance.now() - startedAt).toBeLessThan(500);
    expect(woken).toHaveLength(2_000);
    // One for now, and one for each tick that was begun meanwhile.
    expect(added()).toBeLessThan(10);
    redis.resume();
    await until("it is used again", async () => (await queue.getDelayedCount()) >= 1);
  });

  test("is asked again for a tick that it did not take", async () => {
    const asked: string[] = [];
    const at = startOfTick();
    const ticks = createTicks({
      queue: {
        async add(_name, _data, options) {
          asked.push(String(options?.jobId));
          throw new Error("Redis is not connected");
        },
      },
      region: "local",
      clockSkew: { now: () => new Date(at) },
      wakeHere: () => {},
      prefetchMs,
      log,
    });
    for (let n = 0; n < 3; n++) {
      ticks.add({ delayMs: 9_000 });
      await Bun.sleep(1);
    }
    expect(asked).toHaveLength(3);
    expect(new Set(asked).size).toBe(1);
  });
});
