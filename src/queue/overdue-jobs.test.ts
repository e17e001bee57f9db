import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Queue } from "bullmq";
import { Redis } from "ioredis";
import { createLogger } from "../log.ts";
import { createEmails } from "../store/emails.ts";
import { createPostgresDatabase } from "../store/postgres-database.ts";
import type { DueEmail } from "../store/presence.ts";
import { until } from "../testing/child-server.ts";
import { drivers, type OpenDatabase } from "../testing/databases.ts";
import { type DirectSql, directSql } from "../testing/direct-sql.ts";
import { freshDatabase } from "../testing/fresh-database.ts";
import { newEmail, store } from "../testing/new-email.ts";
import { type RedisServer, startRedis } from "../testing/redis-server.ts";
import { joinRegion, type RegionProcess } from "../testing/region-process.ts";
import type { WakeJob } from "./enqueue.ts";
import { createOverdueJobs } from "./overdue-jobs.ts";
import { createQueueBackend, type QueueBackend } from "./queue-backend.ts";
import { emailQueueName, jobOptions } from "./queue-options.ts";

const log = createLogger({ level: "silent" });
const clockSkew = { now: () => new Date() };
const pglite = drivers.find(({ driver }) => driver === "pglite");

/** The three places where BullMQ keeps its jobs. */
const places: [string, () => Promise<{ opened: OpenDatabase; redis: RedisServer | null }>][] = [
  ["Redis", async () => ({ opened: await openPostgres(), redis: await startRedis() })],
  ["PostgreSQL", async () => ({ opened: await openPostgres(), redis: null })],
  ["PGlite", async () => ({ opened: (await pglite?.open()) ?? fail(), redis: null })],
];

function fail(): never {
  throw new Error("no PGlite driver");
}

async function openPostgres(): Promise<OpenDatabase> {
  const database = createPostgresDatabase({ url: (await freshDatabase()).url });
  return { database, close: () => database.close() };
}

describe.each(places)("overdue emails and their jobs on %s", (_, open) => {
  let opened: OpenDatabase;
  let redis: RedisServer | null;
  let sql: DirectSql;
  let backend: QueueBackend;
  let queue: Queue<WakeJob>;
  let us: RegionProcess;
  beforeAll(async () => {
    ({ opened, redis } = await open());
    sql = await directSql(opened.database);
    const { database } = opened;
    const url = "url" in database ? String(database.url) : null;
    const config = redis
      ? ({ driver: "redis", url: redis.url } as const)
      : ({ driver: "postgres", url } as const);
    backend = createQueueBackend({ config, database, region: "local", log });
    us = await joinRegion(opened.database, "local");
    queue = backend.createQueue<WakeJob>(emailQueueName);
    await until("the queue takes jobs", () =>
      queue.add("wake", { emailId: "first", wake: 1 }, { jobId: "first-1" }).then(
        () => true,
        () => false,
      ),
    );
  }, 60_000);
  afterAll(async () => {
    await backend.close(5_000);
    await sql.close();
    await opened.close();
    await redis?.stop();
  }, 30_000);

  /** Emails that have been due and queued for 3 s, by the database's clock. */
  async function overdue(count: number) {
    const drafts = Array.from({ length: count }, () => newEmail());
    await store(createEmails(opened.database), drafts, { queuedBy: us.workerId });
    await sql.query(
      `update mailer.emails set next_attempt_at = next_attempt_at - interval '3 seconds',
         queued_at = queued_at - interval '3 seconds' where id = any ($1)`,
      [drafts.map(({ id }) => id)],
    );
    return drafts.map(({ id }) => id);
  }

  /** Adds a job as a process does whose clock is off by so much. */
  async function addJob(id: string, offMs: number) {
    await queue.add(
      "wake",
      { emailId: id, wake: 1 },
      { ...jobOptions, jobId: `${id}-1`, timestamp: Date.now() + offMs, delay: 1_000 },
    );
  }

  function looker() {
    const added: DueEmail[] = [];
    const enqueue = {
      add: (email: DueEmail) => void added.push(email),
      backlog: 0,
      flush: async () => {},
    };
    return {
      added,
      jobs: createOverdueJobs({ presence: us.presence, backend, enqueue, clockSkew, log }),
    };
  }

  test("a job added by a clock that is ahead is made to run; one that waits is left alone", async () => {
    const [hour, day, waiting] = (await overdue(3)) as [string, string, string];
    await addJob(hour, 3_600_000);
    await addJob(day, 86_400_000);
    await queue.add("wake", { emailId: waiting, wake: 1 }, { jobId: `${waiting}-1` });
    const { jobs, added } = looker();
    expect(await jobs.look()).toEqual({ promoted: 2, requeued: 0 });
    expect(added).toEqual([]);
    const states = [hour, day, waiting].map((id) => queue.getJobState(`${id}-1`));
    expect(await Promise.all(states)).toEqual(["waiting", "waiting", "waiting"]);
    expect(await jobs.look()).toEqual({ promoted: 0, requeued: 0 });
    await sql.query("update mailer.emails set state = 'cancelled'");
  });

  test("a flood's job, which is put off on purpose, is left to come by itself", async () => {
    const [flood, stuck] = (await overdue(2)) as [string, string];
    const put = (id: string, readyInMs: number) => {
      const data = { emailId: id, wake: 1, readyAt: Date.now() + readyInMs };
      return queue.add("wake", data, { ...jobOptions, jobId: `${id}-1`, delay: 9_000 });
    };
    await put(flood, -1_700);
    await put(stuck, -3_000);
    const { jobs } = looker();
    expect(await jobs.look()).toEqual({ promoted: 1, requeued: 0 });
    const states = [flood, stuck].map((id) => queue.getJobState(`${id}-1`));
    expect(await Promise.all(states)).toEqual(["delayed", "waiting"]);
    // And made to run should it not.
    await until("the job is woken", async () => (await jobs.look()).promoted === 1);
    await sql.query("update mailer.emails set state = 'cancelled' where state = 'pending'");
  });

  test("a job that the queue has lost is added again, under its wake", async () => {
    const [lost] = (await overdue(1)) as [string];
    const { jobs, added } = looker();
    expect(await jobs.look()).toEqual({ promoted: 0, requeued: 1 });
    expect(added).toEqual([{ id: lost, wake: 1, delayMs: 0, ownerId: "ada" }]);
    await sql.query("update mailer.emails set state = 'cancelled' where state = 'pending'");
  });

  test("a job whose list was deleted is made anew, though its data is there", async () => {
    // Elsewhere a job's state is part of its own row.
    if (!redis) return;
    const [delayed, ready, waiting] = (await overdue(3)) as [string, string, string];
    await addJob(delayed, 3_600_000);
    const opts = { ...jobOptions, priority: 5 };
    await queue.add("wake", { emailId: ready, wake: 1 }, { ...opts, jobId: `${ready}-1` });
    await queue.add("wake", { emailId: waiting, wake: 1 }, { jobId: `${waiting}-1` });
    const client = new Redis(redis.url);
    await client.del(
      `{mailer}:${emailQueueName}:delayed`,
      `{mailer}:${emailQueueName}:prioritized`,
    );
    client.disconnect();
    const { jobs, added } = looker();
    expect(await jobs.look()).toEqual({ promoted: 0, requeued: 2 });
    expect(added.map(({ id }) => id).sort()).toEqual([delayed, ready].sort());
    // Adding it again is no silent no-op.
    await queue.add("wake", { emailId: ready, wake: 1 }, { jobId: `${ready}-1` });
    expect(await queue.getJobState(`${ready}-1`)).toBe("waiting");
    await sql.query("update mailer.emails set state = 'cancelled' where state = 'pending'");
  });

  test("a backlog that was looked up is not looked up again with every look", async () => {
    const ids = await overdue(30);
    await queue.addBulk(
      ids.map((id) => ({
        name: "wake",
        data: { emailId: id, wake: 1 },
        opts: { jobId: `${id}-1` },
      })),
    );
    const asked: number[] = [];
    const counting = {
      promote: backend.promote,
      discard: backend.discard,
      findJobs: (name: string, jobIds: string[]) => {
        asked.push(jobIds.length);
        return backend.findJobs(name, jobIds);
      },
    };
    const { presence } = us;
    const enqueue = { add: () => {}, backlog: 0, flush: async () => {} };
    const jobs = createOverdueJobs({ presence, backend: counting, enqueue, clockSkew, log });
    await jobs.look();
    await sql.query(
      `update mailer.emails set next_attempt_at = next_attempt_at - interval '10 seconds'
       where id = any ($1)`,
      [ids],
    );
    await jobs.look();
    expect(asked).toEqual([30, 0]);
  });
});

test("a queue that does not answer is asked again, from the same place", async () => {
  const afters: unknown[] = [];
  const page = { emails: [{ id: "a", wake: 1, ownerId: "ada" }], last: null };
  const jobs = createOverdueJobs({
    presence: {
      async listOverdue({ after }) {
        afters.push(after);
        return { ...page, until: { next_attempt_at: "later", id: "0" } };
      },
    },
    backend: {
      findJobs: () => Promise.reject(new Error("down")),
      promote: async () => {},
      discard: async () => {},
    },
    enqueue: { add: () => {}, backlog: 0, flush: async () => {} },
    clockSkew,
    log,
  });
  expect(await jobs.look()).toEqual({ promoted: 0, requeued: 0 });
  await jobs.look();
  expect(afters).toEqual([null, null]);
});

test("a brief look ends after a few pages, and the next one goes on from there", async () => {
  const afters: unknown[] = [];
  const jobs = createOverdueJobs({
    presence: {
      async listOverdue({ after }) {
        afters.push(after?.id ?? null);
        const last = { next_attempt_at: "now", id: String(afters.length) };
        return { emails: [], last, until: last };
      },
    },
    backend: {
      findJobs: async () => ({ delayed: [], missing: [], orphaned: [] }),
      promote: async () => {},
      discard: async () => {},
    },
    enqueue: { add: () => {}, backlog: 0, flush: async () => {} },
    clockSkew,
    log,
  });
  await jobs.look({ isBrief: true });
  expect(afters).toEqual([null, "1", "2", "3"]);
  await jobs.look({ isBrief: true });
  expect(afters.slice(4)).toEqual(["4", "5", "6", "7"]);
});
