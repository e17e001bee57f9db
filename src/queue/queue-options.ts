import type { JobsOptions, WorkerOptions } from "bullmq";

/** The queue whose jobs wake workers for emails. */
export const emailQueueName = "emails";

/** One braced prefix from day one: Redis Cluster keeps all keys of a queue in one slot by it. */
export const keyPrefix = "{mailer}";

/**
 * Every job, beside its `jobId` (`<emailId>-<wake>`) and `delay`. Retries are decided by the
 * database; a job that stayed after its end would make the same wake a silent no-op for ever.
 */
export const jobOptions = {
  attempts: 1,
  removeOnComplete: true,
  removeOnFail: true,
} satisfies JobsOptions;

/**
 * A worker that dies between taking a job and claiming the email is noticed within 7 s; after
 * the default of one stall BullMQ would fail the job for good, so nobody counts stalls here.
 */
export const workerOptions = {
  lockDuration: 5_000,
  stalledInterval: 2_000,
  maxStalledCount: 1_000_000,
} satisfies Omit<WorkerOptions, "connection">;
