import { Queue, Worker } from "bullmq";
import type { RedisPlace } from "../config-redis.ts";
import type { Logger } from "../log.ts";
import { closeAll } from "../runtime/close-all.ts";
import { createOutageLog } from "../runtime/outage-log.ts";
import { type ConnectionSettings, openRedis, type RedisConnection } from "./open-redis.ts";
import type { QueueBackend } from "./queue-backend.ts";
import type { QueueHealth } from "./queue-health.ts";
import { keyPrefix, workerOptions } from "./queue-options.ts";
import { createWriteProbe, type WriteProbe } from "./write-probe.ts";

interface RedisQueueBackendDeps {
  place: RedisPlace;
  region: string;
  log: Logger;
}

/** BullMQ forbids a limit of retries; without one a command waits for the next connection. */
const queueConnection: ConnectionSettings = {
  maxRetriesPerRequest: null,
  retryStrategy: (times) => Math.min(times * 100, 2_000),
  connectTimeout: 3_000,
  keepAlive: 10_000,
  // A Redis that hangs with its connection open counts as down after this.
  socketTimeout: 5_000,
  // A replica that was promoted elsewhere: the next connection finds the new master.
  reconnectOnError: (error) => error.message.startsWith("READONLY"),
};

/** Blocks in BZPOPMIN for up to 10 s, during which nothing is received. */
const workerConnection: ConnectionSettings = { ...queueConnection, socketTimeout: 30_000 };

/** For questions asked now or not at all. */
const controlConnection: ConnectionSettings = {
  ...queueConnection,
  maxRetriesPerRequest: 0,
  enableOfflineQueue: false,
  commandTimeout: 2_000,
};

/** BullMQ on Redis. A Redis that is down, also at the start, is waited for in the background. */
export function createRedisQueueBackend({
  place,
  region,
  log,
}: RedisQueueBackendDeps): QueueBackend {
  const outage = createOutageLog(log, "redis");
  const connections: RedisConnection[] = [];
  const closers: (() => Promise<void>)[] = [];
  let policy = "unknown";

  function connect(options: ConnectionSettings): RedisConnection {
    const redis = openRedis(place, options);
    redis.on("error", outage.failed);
    redis.on("ready", outage.works);
    connections.push(redis);
    return redis;
  }

  const control = connect(controlConnection);
  const probe = createWriteProbe(control, `${keyPrefix}:probe:${region}`);
  control.on("ready", () => {
    void readPolicy(control).then((found) => {
      if (found !== policy) warnOfPolicy(log, found);
      policy = found;
    });
  });

  return {
    driver: "redis",
    isShared: true,
    get policy() {
      return policy;
    },
    createQueue<Data>(name: string) {
      const connection = connect(queueConnection);
      const queue = new Queue<Data>(name, { connection, prefix: keyPrefix });
      queue.on("error", outage.failed);
      rejectWhileDown(queue, connection);
      closers.push(() => queue.close());
      return queue as Queue<Data>;
    },
    createWorker(name, processor, options) {
      const connection = connect(workerConnection);
      const worker = new Worker(name, processor, {
        ...workerOptions,
        ...options,
        connection,
        prefix: keyPrefix,
      });
      worker.on("error", outage.failed);
      closers.push(() => worker.close(true));
      return worker;
    },
    async readClock() {
      const [seconds, microseconds] = await control.time();
      return new Date(Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000));
    },
    check: () => check(probe, policy),
    async close(deadlineMs) {
      // Both hang while Redis is down; then the connections are simply cut.
      await closeAll(closers, deadlineMs, log);
      for (const connection of connections) connection.disconnect();
    },
  };
}

/**
 * BullMQ would keep every job in memory until Redis is back, and whoever adds tries again
 * anyway: a long outage would pile up the same jobs many times over.
 */
function rejectWhileDown<Data>(queue: Queue<Data>, connection: RedisConnection): void {
  const add = queue.add.bind(queue);
  const addBulk = queue.addBulk.bind(queue);
  const whenUp = async <T>(work: () => Promise<T>): Promise<T> => {
    if (connection.status !== "ready") throw new Error("Redis is not connected");
    return work();
  };
  queue.add = (...args: Parameters<typeof add>) => whenUp(() => add(...args));
  queue.addBulk = (...args: Parameters<typeof addBulk>) => whenUp(() => addBulk(...args));
}

/**
 * From INFO, since managed Redis forbids CONFIG; `unknown` when that is not allowed either. A
 * Redis that is too busy to answer is asked again for as long as it is connected.
 */
async function readPolicy(redis: RedisConnection): Promise<string> {
  while (redis.status === "ready") {
    const info = await redis.info("memory").catch(refusalOf);
    if (info !== null) return /^maxmemory_policy:(\S+)/m.exec(info)?.[1] ?? "unknown";
    await Bun.sleep(1_000);
  }
  return "unknown";
}

/** Empty for an answer that will stay the same; null for one that was late, or of a start. */
function refusalOf(error: unknown): "" | null {
  return /^(NOPERM|ERR|WRONGPASS|NOAUTH)/.test(String((error as Error).message)) ? "" : null;
}

const remedy = "set maxmemory-policy to noeviction: an evicted job is found late, by the database";

async function check(probe: WriteProbe, policy: string): Promise<QueueHealth> {
  const health = await probe.check();
  if (health.state !== "ok" || policy === "noeviction" || policy === "unknown") return health;
  return { state: "evicting", detail: `maxmemory-policy is ${policy}`, advice: remedy };
}

function warnOfPolicy(log: Logger, policy: string): void {
  if (policy === "noeviction") return;
  log.warn("redis may evict jobs", { component: "redis", state: policy, hint: remedy });
}
