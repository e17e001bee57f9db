import type { RedisPlace } from "../config-redis.ts";
import { openRedis } from "./open-redis.ts";
import type { QueueHealth } from "./queue-health.ts";
import { keyPrefix } from "./queue-options.ts";
import { createWriteProbe } from "./write-probe.ts";

export interface RedisFacts {
  /** `redis` or `valkey`, with its version. */
  product: "redis" | "valkey";
  version: string;
  /** `maxmemory-policy`; null: hidden, as some managed ones do. */
  policy: string | null;
  /** Whether the append-only file is on; null: hidden. */
  isAppendOnly: boolean | null;
  /** Whether it takes writes, as a queue needs it. */
  health: QueueHealth;
  tookMs: number;
  /** Redis' clock, and ours at that moment. */
  now: Date;
  askedAt: Date;
}

/**
 * Asks a Redis about itself, and writes one key that expires within a minute: one that refuses
 * writes answers everything else. Rejects with what the connection says.
 */
export async function inspectRedis(place: RedisPlace): Promise<RedisFacts> {
  const startedAt = performance.now();
  const redis = openRedis(place, {
    lazyConnect: true,
    connectTimeout: 4_000,
    commandTimeout: 4_000,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  let reason: Error | null = null;
  redis.on("error", (error) => {
    reason ??= error;
  });
  try {
    await redis.connect();
    const info = await redis.info();
    const tookMs = performance.now() - startedAt;
    const sentAt = Date.now();
    const [seconds, micros] = await redis.time();
    // The middle of the way there and back.
    const askedAt = new Date((sentAt + Date.now()) / 2);
    const health = await createWriteProbe(redis, `${keyPrefix}:probe:doctor`).check();
    return {
      ...factsOf(info),
      health,
      tookMs,
      now: new Date(Number(seconds) * 1000 + Number(micros) / 1000),
      askedAt,
    };
  } catch (error) {
    // "Connection is closed." says less than the event before it.
    throw reason ?? error;
  } finally {
    redis.disconnect();
  }
}

function factsOf(info: string) {
  const field = (name: string) => new RegExp(`^${name}:(\\S+)`, "m").exec(info)?.[1] ?? null;
  const valkey = field("valkey_version");
  const aof = field("aof_enabled");
  return {
    product: valkey === null ? ("redis" as const) : ("valkey" as const),
    version: valkey ?? field("redis_version") ?? "unknown",
    policy: field("maxmemory_policy"),
    isAppendOnly: aof === null ? null : aof === "1",
  };
}
