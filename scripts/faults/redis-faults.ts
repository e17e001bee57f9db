import { inMs } from "../../src/testing/product/email-requests.ts";
import {
  type SeveralRedis,
  startCluster,
  startSentinels,
} from "../../src/testing/servers/redis-several.ts";
import { defineFault, type Fault } from "./fault.ts";
import { nowAndSoon } from "./load.ts";
import type { World } from "./world.ts";

/** Answers of POST must not notice what happens to the queue. */
const acceptP99Ms = 500;

export const redisFlushed = defineFault({
  name: "redis-flushed",
  what: "FLUSHALL three times while emails are due, queued and still to come.",
  mails: { small: 200, full: 5_000 },
  limits: { latenessP99Ms: 5_000 },
  async run(world) {
    await world.start();
    await world.start({ role: "worker" });
    const spreadMs = world.mails * 10;
    const start = 500;
    await world.load.burst(world.mails, (index) => ({
      scheduled_at: inMs(start + (index * spreadMs) / world.mails),
    }));
    for (let round = 0; round < 3; round++) {
      await Bun.sleep(spreadMs / 4);
      const redis = world.redis();
      await redis.flushall();
      redis.disconnect();
      world.count();
    }
  },
});

/** A steady load from before an outage until after it; the outage ends when it is healed. */
async function throughOutage(
  world: World,
  seconds: number,
  { harm, heal }: { harm: () => Promise<unknown>; heal: () => Promise<unknown> },
): Promise<void> {
  await world.start();
  await world.start({ role: "worker" });
  const perSecond = Math.max(10, Math.ceil(world.mails / (seconds + 4)));
  const load = world.load.steady({ count: world.mails, perSecond, fields: nowAndSoon });
  await Bun.sleep(1_500);
  await world.outage(async () => {
    await harm();
    await Bun.sleep(seconds * 1_000);
    await heal();
  });
  await load;
}

/** What an outage has held up goes out at this rate at least, whatever else the machine does. */
const drainedPerSecond = 1_000;

function redisDown(seconds: number, mails: Fault["mails"], isLongOnly = false): Fault {
  // A long outage leaves a backlog, which takes its time once sending has begun again.
  const drainMs = isLongOnly ? (mails.full / drainedPerSecond) * 1_000 : 0;
  return defineFault({
    name: `redis-down-${seconds}s`,
    what: `Redis killed with SIGKILL under a steady load and started again after ${seconds} s.`,
    mails,
    isLongOnly,
    limits: {
      latenessP99Ms: 5_000 + drainMs,
      resumesMs: 5_000,
      recoveryP99Ms: 5_000 + drainMs,
      acceptP99Ms,
    },
    async run(world) {
      const { redis } = world.region();
      await throughOutage(world, seconds, { harm: redis.kill, heal: redis.restart });
    },
  });
}

/** Several servers, of which one is killed, or another one is given the keys, under a steady load. */
function redisSeveral<Several extends SeveralRedis>(
  name: string,
  what: string,
  open: () => Promise<Several>,
  harm: (redis: Several) => Promise<void>,
): Fault {
  return defineFault({
    name,
    what,
    mails: { small: 200, full: 3_000 },
    limits: { latenessP99Ms: 5_000, resumesMs: 5_000, recoveryP99Ms: 5_000, acceptP99Ms },
    async run(world) {
      const redis = await open();
      world.closeWith(async () => redis.stop());
      const queue = { ...redis.env, REDIS_URL: "" };
      await world.start({ env: queue });
      await world.start({ role: "worker", env: queue });
      const load = world.load.steady({ count: world.mails, perSecond: 50, fields: nowAndSoon });
      await Bun.sleep(1_500);
      await world.outage(() => harm(redis));
      world.count();
      await load;
    },
  });
}

export const redisFailovers = [
  redisSeveral(
    "redis-sentinel-failover",
    "The primary that three Sentinels watch killed with SIGKILL under a steady load; they promote " +
      "its replica.",
    () => startSentinels("mails"),
    (redis) => redis.failOver(),
  ),
  redisSeveral(
    "redis-sentinel-failover-tls",
    "The same by TLS alone, with passwords for the servers and for the Sentinels.",
    () => startSentinels("mails", { isTls: true }),
    (redis) => redis.failOver(),
  ),
  redisSeveral(
    "redis-cluster-failover",
    "The node of a Cluster of three primaries that has the queue's keys killed with SIGKILL under a " +
      "steady load; its replica takes over.",
    () => startCluster(),
    (redis) => redis.failOver(),
  ),
  redisSeveral(
    "redis-cluster-resharded",
    "The slot of the queue's keys moved to another primary of a Cluster under a steady load, key by " +
      "key, by TLS and with a password.",
    () => startCluster({ isTls: true }),
    (redis) => redis.reshard(),
  ),
];

export const redisDowns = [
  redisDown(1, { small: 100, full: 1_000 }),
  redisDown(12, { small: 200, full: 5_000 }),
  redisDown(180, { small: 600, full: 10_000 }, true),
];

export const redisHalfOpen = defineFault({
  name: "redis-half-open",
  what: "The route to Redis swallows everything for 12 s, connections stay open, then is back.",
  mails: { small: 200, full: 3_000 },
  parts: { proxied: ["redis"] },
  limits: { latenessP99Ms: 5_000, recoveryP99Ms: 5_000, acceptP99Ms },
  async run(world) {
    const proxy = world.proxy("redis");
    const harm = async () => proxy.blackhole();
    await throughOutage(world, 12, { harm, heal: proxy.heal });
  },
});

export const redisOutOfMemory = defineFault({
  name: "redis-out-of-memory",
  what: "Redis at its maxmemory under noeviction for 8 s: it refuses every write.",
  mails: { small: 200, full: 3_000 },
  limits: { latenessP99Ms: 5_000, recoveryP99Ms: 5_000, acceptP99Ms },
  async run(world) {
    const redis = world.redis();
    const limit = (bytes: string) => redis.config("SET", "maxmemory", bytes);
    await throughOutage(world, 8, { harm: () => limit("1"), heal: () => limit("0") });
  },
});

export const redisInPart = defineFault({
  name: "redis-in-part",
  what: "Redis that answers and does not work: the lists of the jobs deleted; at its maxmemory, then a replica, each for longer than emails may be late.",
  mails: { small: 60, full: 900 },
  limits: { latenessP99Ms: 8_000, acceptP99Ms },
  async run(world) {
    await world.start();
    const redis = world.redis();
    const third = Math.floor(world.mails / 3);
    const burst = (afterMs: number) =>
      world.load.burst(third, (index) => ({ scheduled_at: inMs(afterMs + index * 5) }));
    await burst(1_500);
    await Bun.sleep(500);
    await redis.del("{mailer}:emails:delayed", "{mailer}:emails:prioritized");
    world.count();
    for (const [harm, heal] of [
      [() => redis.config("SET", "maxmemory", "1"), () => redis.config("SET", "maxmemory", "0")],
      [() => redis.call("REPLICAOF", "127.0.0.1", "1"), () => redis.call("REPLICAOF", "NO", "ONE")],
    ]) {
      const sent = world.sink.acceptances.length;
      await harm?.();
      world.count();
      await burst(500);
      // Healed only once these are out: what cannot be sent meanwhile is late for ever.
      await world.sink.waitForAcceptances(sent + third, 30_000);
      await heal?.();
    }
  },
});

export const workerCutOff = defineFault({
  name: "worker-cut-from-redis",
  what: "One worker loses Redis while all its emails are in the SMTP conversation, for longer than its locks last; another gets the same jobs.",
  mails: { small: 20, full: 200 },
  parts: {
    proxied: ["redis"],
    // Of the places of a process one owner with many emails gets a part.
    env: { SMTP_REPLY_TIMEOUT_MS: "60000", SMTP_POOL_SIZE: "200", WORKER_CONCURRENCY: "400" },
  },
  limits: { latenessP99Ms: 5_000, uncertain: 0 },
  async run(world) {
    const release = Promise.withResolvers<void>();
    world.sink.setRules(({ phase }) =>
      phase === "dot" ? { do: "wait", until: release.promise } : null,
    );
    await world.start({ role: "worker" });
    const direct = { REDIS_URL: world.region().redis.url };
    await world.start({ role: "api", env: direct });
    const dots = world.sink.waitForPhase("dot", world.mails, 60_000);
    await world.load.burst(world.mails);
    await dots;
    await world.start({ role: "worker", env: direct });
    // The next hop takes nothing while it lasts, so it counts as an outage.
    await world.outage(async () => {
      world.proxy("redis").blackhole();
      // Locks last 10 s, and every 5 s somebody looks for jobs without one.
      await Bun.sleep(22_000);
      release.resolve();
      world.sink.setRules();
    });
    await world.sink.waitForAcceptances(world.mails, 60_000);
    await world.proxy("redis").heal();
  },
});
