import type { WorkerOptions } from "bullmq";

/** One braced prefix from day one: Redis Cluster keeps all keys of a queue in one slot by it. */
export const keyPrefix = "{mailer}";

/** A job takes no time and may run twice, so that nobody counts stalls. */
export const workerOptions = {
  lockDuration: 5_000,
  stalledInterval: 5_000,
  maxStalledCount: 1_000_000,
} satisfies Omit<WorkerOptions, "connection">;
