import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { createLogger } from "../log.ts";
import { createQueueBackend, type QueueBackend } from "../queue/queue-backend.ts";
import type { Database } from "../store/database.ts";
import { createMaintenance } from "../store/maintenance.ts";
import { createPostgresDatabase } from "../store/postgres-database.ts";
import { rejection } from "../testing/fixtures/rejection.ts";
import { until } from "../testing/servers/child-server.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { startRedis } from "../testing/servers/redis-server.ts";
import {
  createMaintenanceRunner,
  type MaintenanceTask,
  maintenanceQueueName,
} from "./maintenance.ts";

setDefaultTimeout(60_000);

const log = createLogger({ level: "silent" });
let database: Database;
let sql: DirectSql;
beforeAll(async () => {
  database = createPostgresDatabase({ url: (await freshDatabase()).url });
  sql = await directSql(database);
});
afterAll(async () => {
  await sql?.close();
  await database?.close();
});

const storeOf = (workerId: string = crypto.randomUUID()) =>
  createMaintenance(database, { workerId, region: "local" });

/** A process, with one task that counts its runs. */
function processOf(
  name: string,
  options: Partial<MaintenanceTask> = {},
  backend: QueueBackend | null = null,
) {
  const seen = { runs: 0 };
  const task: MaintenanceTask = {
    name,
    everyMs: 3_600_000,
    run: async () => {
      seen.runs += 1;
      return { done: seen.runs };
    },
    ...options,
  };
  const maintenance = storeOf();
  return { seen, runner: createMaintenanceRunner({ maintenance, tasks: [task], backend, log }) };
}

test("of several processes one does what is due, and not again before its time", async () => {
  const processes = [processOf("shared"), processOf("shared"), processOf("shared")];
  for (const { runner } of processes) runner.start();
  const runs = () => processes.reduce((sum, { seen }) => sum + seen.runs, 0);
  await until("one has done it", async () => {
    const [row] = await storeOf().list();
    return row?.endedAt !== null && row?.endedAt !== undefined;
  });
  await Promise.all(processes.map(({ runner }) => runner.stop()));
  expect(runs()).toBe(1);
  expect(await storeOf().list()).toMatchObject([{ name: "shared", result: { done: 1 } }]);
  await sql.query("update mailer.maintenance set started_at = started_at - interval '1 hour'");
  expect(await storeOf().begin("shared", { everyMs: 3_600_000, leaseMs: 1_000 })).toBe(true);
});

test("whoever asks for it now gets it, unless somebody is at it", async () => {
  const gate = Promise.withResolvers<void>();
  const slow = processOf("asked", {
    run: async () => {
      await gate.promise;
      return { done: 1 };
    },
  });
  const other = processOf("asked");
  const running = slow.runner.runNow("asked");
  await until("it is under way", async () =>
    (await storeOf().list()).some(({ name, endedAt }) => name === "asked" && endedAt === null),
  );
  expect(await other.runner.runNow("asked")).toBeNull();
  expect(await slow.runner.runNow("asked")).toBeNull();
  gate.resolve();
  expect(await running).toEqual({ done: 1 });
  expect(await other.runner.runNow("asked")).toEqual({ done: 1 });
  expect(await other.runner.runNow("unknown")).toBeNull();
});

test("what a process that died had begun is begun again once its lease is over", async () => {
  const dead = storeOf();
  expect(await dead.begin("died", { everyMs: 0, leaseMs: 60_000 })).toBe(true);
  expect(await storeOf().begin("died", { everyMs: 0, leaseMs: 1 })).toBe(false);
  await sql.query("update mailer.maintenance set leased_until = now() where name = 'died'");
  const next = storeOf();
  expect(await next.begin("died", { everyMs: 0, leaseMs: 60_000 })).toBe(true);
  // The one that was slow and not dead writes no result into another one's turn.
  await dead.end("died", { done: 99 });
  await next.end("died", { done: 1 });
  const rows = await storeOf().list();
  expect(rows.find(({ name }) => name === "died")?.result).toEqual({ done: 1 });
});

test("a task that fails leaves its turn to the next look, and says so", async () => {
  const failing = processOf("fails", {
    run: async () => {
      throw new Error("out of order");
    },
  });
  expect(String(await rejection(failing.runner.runNow("fails")))).toContain("out of order");
});

test("with Redis a job scheduler tells one process, and the job has the result", async () => {
  const redis = await startRedis();
  const config = { driver: "redis", place: { kind: "single", url: redis.url } } as const;
  const open = () => createQueueBackend({ config, database, region: "local", log });
  const backends = [open(), open()];
  const [first, second] = backends as [QueueBackend, QueueBackend];
  const both = [first, second].map((backend) => processOf("scheduled", {}, backend));
  for (const { runner } of both) runner.start();
  const queue = first.createQueue(maintenanceQueueName);
  const done = async () =>
    (await queue.getCompleted()).filter(({ progress }) => "done" in Object(progress));
  await until("a job has a result", async () => (await done()).length > 0);
  expect((await done())[0]).toMatchObject({
    ...{ name: "scheduled", progress: { done: expect.any(Number) } },
  });
  expect(await queue.getJobSchedulers()).toMatchObject([{ key: "scheduled", every: 3_600_000 }]);
  // The next one waits for its hour, and an admin need not: the board promotes it.
  const before = (await done()).length;
  const [next] = await queue.getDelayed();
  await next?.promote();
  await until("it ran again", async () => (await done()).length > before);
  await Promise.all(both.map(({ runner }) => runner.stop()));
  for (const backend of backends) await backend.close(2_000);
  await redis.stop();
});
