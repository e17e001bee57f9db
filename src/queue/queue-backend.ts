import type { Processor, Queue, Worker } from "bullmq";
import type { Config } from "../config.ts";
import type { Logger } from "../log.ts";
import type { Database } from "../store/database.ts";
import type { PgliteDatabase } from "../store/pglite-database.ts";
import { createPostgresQueueBackend } from "./postgres-queue-backend.ts";
import type { QueueHealth } from "./queue-health.ts";
import { createRedisQueueBackend } from "./redis-queue-backend.ts";

/** Where BullMQ keeps its jobs. Everything made here tries again by itself after an outage. */
export interface QueueBackend {
  readonly driver: "redis" | "postgres";
  /** Whether other processes hear of its jobs; where none can, nothing need be queued. */
  readonly isShared: boolean;
  /**
   * Redis: its `maxmemory-policy`, read at every (re)connect. Anything but `noeviction` may
   * forget jobs; `unknown` until it was read, or where it is hidden. PostgreSQL: `noeviction`.
   */
  readonly policy: string;
  /**
   * A queue whose `add` and `addBulk` reject at once while the backend is known to be down. An
   * outage that is not noticed yet can hang them for up to 5 s: no request may await them.
   */
  createQueue<Data>(name: string): Queue<Data>;
  createWorker<Data>(
    name: string,
    processor: Processor<Data, void>,
    options: { concurrency: number },
  ): Worker<Data, void>;
  /** The clock of the queue's server; null where that is the database. */
  readClock(): Promise<Date | null>;
  /**
   * Whether the queue takes jobs: writes a key and reads it back, since a Redis that refuses every
   * write answers PING all the same. Never rejects; hangs for 2 s at most.
   */
  check(): Promise<QueueHealth>;
  /** Closes queues, workers and connections; at the deadline without waiting for answers. */
  close(deadlineMs: number): Promise<void>;
}

export interface QueueBackendDeps {
  config: Config["queue"];
  database: Database;
  region: string;
  log: Logger;
}

/** Redis when it is configured, else BullMQ's tables in a PostgreSQL or our own. Never waits. */
export function createQueueBackend(deps: QueueBackendDeps): QueueBackend {
  const { config, database, region, log } = deps;
  if (config.driver === "redis")
    return createRedisQueueBackend({ place: config.place, region, log });
  if (config.url !== null) return createPostgresQueueBackend({ url: config.url, log });
  if (isPglite(database)) return createPostgresQueueBackend({ embedded: database, log });
  throw new Error("a queue without Redis needs DATABASE_URL or the embedded database");
}

function isPglite(database: Database): database is PgliteDatabase {
  return database.driver === "pglite" && "createPool" in database;
}
