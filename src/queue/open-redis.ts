import { rootCertificates } from "node:tls";
import { Cluster, Redis, type RedisOptions } from "ioredis";
import type { RedisPlace } from "../config-redis.ts";
import { surviveSwitch } from "./survive-switch.ts";

/** What a reply looks like is not for a setting to change; ioredis types it apart. */
export type ConnectionSettings = Omit<RedisOptions, "replyMapping">;

/** One connection to the queue's Redis, or one client of its Cluster. */
export type RedisConnection = Redis | Cluster;

/** How long a Cluster's client, or one that asks Sentinels, waits before it looks again. */
const lookAgainMs = 500;

/**
 * Opens it, wherever it is, in the background. After a failover the next connection leads to the
 * new primary: Sentinels are asked at every connect and tell of a switch; a Cluster's nodes say
 * where a slot has gone.
 */
export function openRedis(place: RedisPlace, settings: ConnectionSettings): RedisConnection {
  const trusted = place.ca === undefined ? {} : { ca: [...rootCertificates, place.ca] };
  if (place.kind === "single") {
    const isTls = place.url.startsWith("rediss:");
    return new Redis(place.url, { ...settings, ...(isTls ? { tls: trusted } : {}) });
  }
  const nodes = place.nodes.map(({ host, port }) => ({ host, port }));
  const tls = place.isTls ? { tls: trusted } : {};
  const password = place.password === null ? {} : { password: place.password };
  if (place.kind === "sentinel") {
    const redis = new Redis({
      ...settings,
      ...password,
      ...tls,
      sentinels: nodes,
      name: place.name,
      ...(place.sentinelPassword === null ? {} : { sentinelPassword: place.sentinelPassword }),
      // Both: the former is of the servers that they name, and of that alone.
      enableTLSForSentinelMode: place.isTls,
      ...(place.isTls ? { sentinelTLS: trusted } : {}),
      failoverDetector: true,
      // A Sentinel that hangs is passed over: without it the next one would never be asked.
      sentinelCommandTimeout: 3_000,
      sentinelRetryStrategy: (times) => Math.min(times * 100, lookAgainMs),
    });
    return surviveSwitch(redis);
  }
  const { enableOfflineQueue = true, lazyConnect = false, retryStrategy: _, ...redis } = settings;
  return new Cluster(nodes, {
    enableOfflineQueue,
    lazyConnect,
    clusterRetryStrategy: (times) => Math.min(times * 100, lookAgainMs),
    slotsRefreshTimeout: 2_000,
    redisOptions: { ...redis, ...password, ...tls },
    // Certificates are for names; ioredis would connect to addresses otherwise.
    ...(place.isTls ? { dnsLookup: (host, found) => found(null, host) } : {}),
  });
}
