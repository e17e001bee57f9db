import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import type { Queue } from "bullmq";
import type { Logger } from "../log.ts";
import { openPgliteDatabase, type PgliteDatabase } from "../store/pglite-database.ts";
import { createPostgresDatabase, type PostgresDatabase } from "../store/postgres-database.ts";
import { rejection } from "../testing/fixtures/rejection.ts";
import { freePort, privateFolder, until } from "../testing/servers/child-server.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { type RedisServer, startRedis } from "../testing/servers/redis-server.ts";
import { createQueueBackend, type QueueBackend } from "./queue-backend.ts";

const jobOptions = { attempts: 1, removeOnComplete: true, removeOnFail: true };

interface Wake {
  emailId: string;
}

/** Counts what would be logged. */
function countingLog(): { log: Logger; lines: string[] } {
  const lines: string[] = [];
  const write = (event: string) => {
    lines.push(event);
  };
  const log = { trace: write, debug: write, info: write, warn: write, error: write, fatal: write };
  const logger: Logger = { ...log, with: () => logger };
  return { log: logger, lines };
}

const dataDir = privateFolder("queue");
let redis: RedisServer;
let pglite: PgliteDatabase;
let postgres: PostgresDatabase;

beforeAll(async () => {
  redis = await startRedis();
  pglite = await openPgliteDatabase({ dataDir });
  postgres = createPostgresDatabase({ url: (await freshDatabase()).url });
}, 120_000);

afterAll(async () => {
  await pglite.close();
  await postgres.close();
  await redis.stop();
  rmSync(dataDir, { recursive: true, force: true });
}, 60_000);

function onRedis(url = redis.url, log = countingLog().log): QueueBackend {
  const config = { driver: "redis", place: { kind: "single", url } } as const;
  return createQueueBackend({ config, database: postgres, region: "here", log });
}

function onPglite(): QueueBackend {
  const { log } = countingLog();
  const config = { driver: "postgres", url: null } as const;
  return createQueueBackend({ config, database: pglite, region: "here", log });
}

function onPostgres(): QueueBackend {
  const { log } = countingLog();
  const config = { driver: "postgres", url: postgres.url } as const;
  return createQueueBackend({ config, database: postgres, region: "here", log });
}

/** A worker that keeps the ids of the jobs it ran. */
function recordingWorker(backend: QueueBackend, name: string) {
  const ran: { emailId: string; at: number }[] = [];
  backend.createWorker<Wake>(
    name,
    async ({ data }) => {
      ran.push({ emailId: data.emailId, at: Date.now() });
    },
    { concurrency: 4 },
  );
  return ran;
}

function rejects(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => false,
    () => true,
  );
}

async function addUntilTaken(queue: Queue<Wake>, jobId: string): Promise<void> {
  await until("the job is taken", () =>
    queue.add("wake", { emailId: jobId }, { ...jobOptions, jobId }).then(
      () => true,
      () => false,
    ),
  );
}

for (const [where, create] of [
  ["Redis", () => onRedis()],
  ["PGlite", onPglite],
  ["PostgreSQL", onPostgres],
] as const) {
  describe(`on ${where}`, () => {
    test("a delayed job runs once, not before its time, and leaves nothing behind", async () => {
      const backend = create();
      const name = `delayed-${crypto.randomUUID()}`;
      const queue = backend.createQueue<Wake>(name);
      // Its connection is another than the one that is checked.
      await queue.waitUntilReady();
      const ran = recordingWorker(backend, name);
      const addedAt = Date.now();
      const opts = { ...jobOptions, delay: 4_000 };
      await queue.add("wake", { emailId: "late" }, { ...opts, jobId: "late-1" });
      await queue.add("wake", { emailId: "late" }, { ...opts, jobId: "late-1" });
      await queue.add("wake", { emailId: "soon" }, { ...jobOptions, jobId: "soon-1" });
      await until("both ran", () => ran.length === 2);
      expect(ran.map(({ emailId }) => emailId)).toEqual(["soon", "late"]);
      expect((ran[1]?.at ?? 0) - addedAt).toBeGreaterThanOrEqual(3_950);
      await until("the queue is empty", async () => (await queue.getJobCountByTypes()) === 0);
      // The id is free again.
      await queue.add("wake", { emailId: "again" }, { ...jobOptions, jobId: "late-1" });
      await until("it ran again", () => ran.length === 3);
      await backend.close(5_000);
    }, 60_000);
  });
}

describe("PGlite shared by the queue and our own calls", () => {
  test("the queue's search_path does not change what our SQL finds", async () => {
    const backend = onPglite();
    await until("the backend is up", async () => (await backend.check()).state === "ok");
    expect(
      await rejection(pglite.rpc("no_such_function", {}, { role: "worker", sub: "test" })),
    ).toMatchObject({ code: "forbidden" });
    await backend.close(5_000);
  }, 30_000);
});

describe("Redis that is not there", () => {
  test("at the start: everything is created, adding rejects at once, and it works later", async () => {
    const port = await freePort();
    const { log, lines } = countingLog();
    const backend = onRedis(`redis://127.0.0.1:${port}`, log);
    const queue = backend.createQueue<Wake>("boot");
    const ran = recordingWorker(backend, "boot");
    await expect(queue.add("wake", { emailId: "x" })).rejects.toThrow(/not connected/);
    expect(await backend.check()).toMatchObject({ state: "silent" });
    const late = await startRedis({ port });
    await addUntilTaken(queue, "x-1");
    await until("the job ran", () => ran.length === 1);
    expect(lines.filter((line) => line.startsWith("not reachable"))).toHaveLength(1);
    await backend.close(5_000);
    await late.stop();
  }, 60_000);

  test("in between: adding rejects, jobs flow again", async () => {
    const own = await startRedis();
    const { log, lines } = countingLog();
    const backend = onRedis(own.url, log);
    const queue = backend.createQueue<Wake>("between");
    const ran = recordingWorker(backend, "between");
    await addUntilTaken(queue, "a-1");
    await until("the first job ran", () => ran.length === 1);
    await own.kill();
    await until("the outage is noticed", () => lines.includes("not reachable; trying again"));
    // Another connection of the backend may be the first to notice; what is added to one that has
    // not waits for Redis to be back.
    await until("adding rejects", () =>
      Promise.race([rejects(queue.add("wake", { emailId: "lost" })), Bun.sleep(200)]).then(Boolean),
    );
    await own.restart();
    await addUntilTaken(queue, "b-1");
    await until("the second job ran", () => ran.some(({ emailId }) => emailId === "b-1"));
    expect(lines.filter((line) => line.startsWith("not reachable")).length).toBeLessThan(4);
    await backend.close(5_000);
    await own.stop();
  }, 60_000);

  test("at the end: close returns by its deadline", async () => {
    const own = await startRedis();
    const backend = onRedis(own.url);
    backend.createQueue<Wake>("end");
    recordingWorker(backend, "end");
    await until("the backend is up", async () => (await backend.check()).state === "ok");
    own.pause();
    const startedAt = performance.now();
    await backend.close(1_000);
    expect(performance.now() - startedAt).toBeLessThan(3_000);
    own.resume();
    await own.stop();
  }, 60_000);
});

describe("Redis that may evict", () => {
  test("is told with the remedy", async () => {
    const evicting = await startRedis({ maxmemoryPolicy: "allkeys-lru" });
    const { log, lines } = countingLog();
    const backend = onRedis(evicting.url, log);
    await until("the policy is known", () => backend.policy === "allkeys-lru");
    expect(lines).toContain("redis may evict jobs");
    expect(await backend.check()).toMatchObject({
      state: "evicting",
      detail: "maxmemory-policy is allkeys-lru",
      advice: expect.stringContaining("noeviction"),
    });
    await backend.close(1_000);
    await evicting.stop();
  }, 30_000);

  test("is not confused with one that keeps everything", async () => {
    const backend = onRedis();
    await until("the policy is known", () => backend.policy !== "unknown");
    expect(backend.policy).toBe("noeviction");
    await backend.close(1_000);
  }, 30_000);
});
