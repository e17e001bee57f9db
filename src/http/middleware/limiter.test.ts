import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { Redis } from "ioredis";
import { createLogger } from "../../log.ts";
import { type RedisServer, startRedis } from "../../testing/servers/redis-server.ts";
import { createLimiter, type Limiter } from "./limiter.ts";

setDefaultTimeout(60_000);

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

function quietLog() {
  const lines: Record<string, unknown>[] = [];
  const stream = { write: (line: string) => lines.push(JSON.parse(line)) };
  return { lines, log: createLogger({ level: "info", stream, isForPeople: false }) };
}

async function connectedTo(server: RedisServer): Promise<Redis> {
  const redis = new Redis(server.url, {
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    commandTimeout: 100,
    retryStrategy: () => 50,
  });
  // A Redis that is down is what these tests are about.
  redis.on("error", () => {});
  closers.push(() => redis.disconnect());
  await ready(redis);
  return redis;
}

async function ready(redis: Redis): Promise<void> {
  if (redis.status !== "ready") await new Promise((resolve) => redis.once("ready", resolve));
}

async function startServer(): Promise<RedisServer> {
  const server = await startRedis();
  closers.push(() => server.stop());
  return server;
}

async function allowedOf(limiters: Limiter[], takes: number, key = "ada"): Promise<number> {
  const taken = await Promise.all(
    Array.from({ length: takes }, (_, n) => limiters[n % limiters.length]?.take(key)),
  );
  return taken.filter((one) => one?.isAllowed).length;
}

test("a key is let through as often as it may, at once or one by one, and then not", async () => {
  const { log } = quietLog();
  const limiter = createLimiter({ name: "test", perMinute: 50, redis: null, log });
  const first = await limiter.take("ada");
  expect([first.isAllowed, first.remaining]).toEqual([true, 49]);
  expect(await allowedOf([limiter], 70)).toBe(49);
  const refused = await limiter.take("ada");
  expect([refused.isAllowed, refused.remaining]).toEqual([false, 0]);
  expect(refused.resetMs).toBeGreaterThan(50_000);
  expect((await limiter.take("bob")).isAllowed).toBe(true);
});

test("when the minute is over the key is let through again", async () => {
  const { log } = quietLog();
  let now = 0;
  const redis = await connectedTo(await startServer());
  const limiter = createLimiter({ name: "test", perMinute: 3, redis, log, now: () => now });
  expect(await allowedOf([limiter], 5)).toBe(3);
  now = 61_000;
  // Redis's own clock has not moved.
  await redis.flushall();
  expect(await allowedOf([limiter], 5)).toBe(3);
});

test("processes on one Redis share one budget, and ask it far less often than they are asked", async () => {
  const { log } = quietLog();
  const server = await startServer();
  const [one, two] = [await connectedTo(server), await connectedTo(server)];
  const make = (redis: Redis) => createLimiter({ name: "test", perMinute: 600, redis, log });
  const limiters = [make(one), make(two)];
  let asked = 0;
  for (const redis of [one, two]) {
    const { sendCommand } = redis;
    redis.sendCommand = (...args: Parameters<typeof sendCommand>) => {
      asked += 1;
      return sendCommand.apply(redis, args);
    };
  }
  let allowed = 0;
  for (let n = 0; n < 700; n++) if ((await limiters[n % 2]?.take("ada"))?.isAllowed) allowed += 1;
  // What one holds when the other finds nothing left is spent by neither more than once.
  expect(allowed).toBeGreaterThan(590);
  expect(allowed).toBeLessThanOrEqual(600);
  expect(asked).toBeLessThan(250);
  const keys = await one.keys("*");
  expect(keys.join()).not.toContain("ada");
});

test("with Redis gone each process counts alone, says so once, and shares again when it is back", async () => {
  const { lines, log } = quietLog();
  const server = await startServer();
  const redis = await connectedTo(server);
  let now = 0;
  const limiter = createLimiter({ name: "test", perMinute: 20, redis, log, now: () => now });
  await server.kill();
  expect(await allowedOf([limiter], 30)).toBe(20);
  expect(await allowedOf([limiter], 30, "bob")).toBe(20);
  expect(lines.length).toBe(1);
  await server.restart();
  await ready(redis);
  now += 2_000;
  expect(await allowedOf([limiter], 30, "eve")).toBe(20);
  expect((await redis.keys("*")).length).toBe(1);
  expect(lines.map(({ level }) => level)).toEqual(["warn", "info"]);
});

test("a Redis that hangs delays one request a second by its timeout, and the others not at all", async () => {
  const { log } = quietLog();
  const server = await startServer();
  const redis = await connectedTo(server);
  const limiter = createLimiter({ name: "test", perMinute: 1_000, redis, log, now: () => 0 });
  server.pause();
  closers.unshift(() => server.resume());
  const startedAt = performance.now();
  for (let n = 0; n < 200; n++) {
    expect((await limiter.take(`key ${n}`)).isAllowed).toBe(true);
  }
  expect(performance.now() - startedAt).toBeLessThan(1_500);
});
