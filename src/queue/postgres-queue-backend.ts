import { createPostgresBackend, type PgPool, Queue, runMigrations, Worker } from "bullmq";
import type pg from "pg";
import type { Logger } from "../log.ts";
import { sleep, within } from "../runtime/abortable.ts";
import { closeAll } from "../runtime/close-all.ts";
import { createOutageLog, type OutageLog } from "../runtime/outage-log.ts";
import { openPool } from "../store/open-pool.ts";
import type { PgliteDatabase } from "../store/pglite-database.ts";
import type { QueueBackend } from "./queue-backend.ts";
import { type QueueHealth, queueOk } from "./queue-health.ts";
import { workerOptions } from "./queue-options.ts";

type PostgresQueueBackendDeps = { log: Logger } & ({ embedded: Embedded } | { url: string });

/** The database in this process; what it is made of is loaded with it, and only then. */
type Embedded = Pick<PgliteDatabase, "createPool">;

/** On a pool of ours BullMQ always calls its schema this, and finds it by `search_path`. */
const schema = "bullmq";

const retryMs = 1_000;
const checkTimeoutMs = 2_000;

/**
 * BullMQ's tables in our own database. They are made in the background, and queues and workers
 * begin once they are there: the database may be down at the start.
 */
export function createPostgresQueueBackend(deps: PostgresQueueBackendDeps): QueueBackend {
  const outage = createOutageLog(deps.log, "queue");
  const pool = "embedded" in deps ? embeddedPool(deps.embedded) : ownPool(deps.url);
  const closing = new AbortController();
  const closers: (() => Promise<void>)[] = [];
  const workers: { run(): Promise<void> }[] = [];
  pool.on("error", outage.failed);

  let isReady = false;
  const ready = migrateUntilDone(pool, outage.failed, closing.signal).then(() => {
    isReady = true;
    outage.works();
    for (const worker of workers) void runWorker(worker, outage.failed, closing.signal);
  });
  // Rejects only when we close before it was done.
  ready.catch(() => undefined);

  return {
    driver: "postgres",
    isShared: !("embedded" in deps),
    policy: "noeviction",
    createQueue<Data>(name: string) {
      const whenReady = afterReady(pool, ready);
      const queue = new Queue(name, { connection: whenReady }, createPostgresBackend);
      queue.on("error", outage.failed);
      closers.push(() => queue.close());
      // The same class; its type arguments name Redis unless told otherwise.
      return queue as unknown as Queue<Data>;
    },
    createWorker<Data>(name: string, processor: unknown, options: { concurrency: number }) {
      const worker = new Worker(
        name,
        processor as ConstructorParameters<typeof Worker>[1],
        { ...workerOptions, ...options, connection: afterReady(pool, ready), autorun: false },
        createPostgresBackend,
      );
      worker.on("error", outage.failed);
      if (isReady) void runWorker(worker, outage.failed, closing.signal);
      else workers.push(worker);
      closers.push(() => worker.close(true));
      return worker as unknown as Worker<Data, void>;
    },
    readClock: async () => null,
    check: () => (isReady ? check(pool, outage) : Promise.resolve(silent)),
    async close(deadlineMs) {
      closing.abort(new Error("closing"));
      await closeAll([...closers, () => pool.end()], deadlineMs, deps.log);
    },
  };
}

const silent: QueueHealth = {
  state: "silent",
  detail: "the queue's database does not answer, or its tables are not there yet",
  advice: "see the log",
};

async function check(pool: PgPool, outage: OutageLog): Promise<QueueHealth> {
  const asked = pool.query("select 1").then(
    () => queueOk,
    (error: unknown) => {
      outage.failed(error);
      return silent;
    },
  );
  const health = (await within(asked, checkTimeoutMs)) ?? silent;
  if (health === queueOk) outage.works();
  return health;
}

/** BullMQ looks for its tables on its first client: that one is given once they are there. */
function afterReady(pool: PgPool, ready: Promise<void>): PgPool {
  return new Proxy(pool, {
    get(target, name) {
      if (name === "connect") return () => ready.then(() => target.connect());
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

function embeddedPool(embedded: Embedded): PgPool {
  // BullMQ's own idea of a pool: `pg.Pool` reduced to what it calls.
  return embedded.createPool(schema) as unknown as PgPool;
}

/** Beside the pool of our own calls: its commits and its LISTEN must not starve a fence. */
function ownPool(url: string): PgPool {
  return openPool({
    connectionString: url,
    max: 8,
    connectionTimeoutMillis: 3_000,
    keepAlive: true,
    onConnect: setSearchPath,
    application_name: "taskforce-mailer queue",
  }) as unknown as PgPool;
}

/**
 * The pool waits for it before it lends the connection, though its types do not say so. Not done
 * by a startup option, since poolers (Supabase's among them) do not pass those on.
 */
function setSearchPath(client: pg.ClientBase): unknown {
  return client.query(`set search_path to ${schema}`);
}

/** Makes or updates BullMQ's tables in an embedded database; for the snapshot. */
export async function migrateQueueTables(embedded: Embedded): Promise<void> {
  const client = await embeddedPool(embedded).connect();
  await runMigrations(client, schema).finally(() => client.release());
}

async function migrateUntilDone(
  pool: PgPool,
  failed: (error: unknown) => void,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    try {
      const client = await pool.connect();
      const migrated = runMigrations(client, schema).then(() => client.query(closeToPublic));
      await migrated.finally(() => client.release());
      return;
    } catch (error) {
      if (!signal.aborted) failed(error);
    }
    await sleep(retryMs, signal);
  }
}

/**
 * BullMQ leaves PostgreSQL's default, by which every user of the database may call its functions.
 * Only where that is so anything is written: several processes start at one moment.
 */
const closeToPublic = `
  do $$
  begin
    if exists (select from pg_catalog.pg_proc p where p.pronamespace = '${schema}'::regnamespace
      and p.proowner = (select r.oid from pg_catalog.pg_roles r where r.rolname = current_user)
      and has_function_privilege('public', p.oid, 'execute')) then
      revoke execute on all routines in schema ${schema} from public;
    end if;
  end
  $$`;

/** A worker whose loop broke off would leave every email lying: it is started again. */
async function runWorker(
  worker: { run(): Promise<void> },
  failed: (error: Error) => void,
  closing: AbortSignal,
): Promise<void> {
  while (!closing.aborted) {
    try {
      await worker.run();
      return;
    } catch (error) {
      failed(error as Error);
      // Closing ends the wait, and with it the loop.
      await sleep(retryMs, closing).catch(() => undefined);
    }
  }
}
