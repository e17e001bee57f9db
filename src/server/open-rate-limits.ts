import type { Config } from "../config.ts";
import type { RedisPlace } from "../config-redis.ts";
import { createRateLimits, type RateLimits } from "../http/middleware/rate-limits.ts";
import type { Logger } from "../log.ts";
import { openRedis, type RedisConnection } from "../queue/open-redis.ts";

/** A request waits no longer than this for a Redis that hangs, and one a second does. */
const commandTimeoutMs = 100;

/** Rate limits on a connection of their own, so that no flood of jobs is in their way. */
export function openRateLimits(
  { queue, role, http }: Config,
  log: Logger,
): { rateLimits: RateLimits; close: () => void } {
  // A process that only works is asked for nothing but its health.
  const redis = queue.driver === "redis" && role !== "worker" ? connect(queue.place) : null;
  return {
    rateLimits: createRateLimits({ perMinute: http.ratePerMinute, redis, log }),
    close: () => redis?.disconnect(),
  };
}

function connect(place: RedisPlace): RedisConnection {
  const redis = openRedis(place, {
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    commandTimeout: commandTimeoutMs,
    connectTimeout: 3_000,
    // A Redis that hangs with its connection open: the next one may be another.
    socketTimeout: 5_000,
    keepAlive: 10_000,
    retryStrategy: (times) => Math.min(times * 100, 2_000),
    reconnectOnError: (error) => error.message.startsWith("READONLY"),
  });
  // The limiter says once that it counts alone, and the queue that Redis is down.
  redis.on("error", () => {});
  return redis;
}
