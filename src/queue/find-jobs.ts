import type { Redis } from "ioredis";
import type { FoundJobs } from "./queue-backend.ts";

/** Looks jobs up under BullMQ's keys in Redis, which begin with `prefix`. */
export async function findJobs(redis: Redis, prefix: string, jobIds: string[]): Promise<FoundJobs> {
  if (jobIds.length === 0) return { delayed: [], missing: [], orphaned: [] };
  const commands = redis
    .multi()
    .zmscore(`${prefix}:delayed`, ...jobIds)
    .zmscore(`${prefix}:prioritized`, ...jobIds);
  for (const jobId of jobIds) commands.hget(`${prefix}:${jobId}`, "data");
  const [delayedScores, readyScores, ...data] = (await run(commands)) as [
    (string | null)[],
    (string | null)[],
    ...(string | null)[],
  ];
  const jobs = jobIds.map((jobId, index) => ({
    jobId,
    data: data[index] ?? null,
    isDelayed: (delayedScores[index] ?? null) !== null,
    isReady: (readyScores[index] ?? null) !== null,
  }));
  const elsewhere = jobs.filter((job) => job.data !== null && !job.isDelayed && !job.isReady);
  return {
    delayed: jobs.flatMap(({ jobId, data, isDelayed }) =>
      data === null || !isDelayed ? [] : [{ jobId, data: JSON.parse(data) as unknown }],
    ),
    missing: jobs.filter((job) => job.data === null).map(({ jobId }) => jobId),
    orphaned: await findOrphaned(
      redis,
      prefix,
      elsewhere.map(({ jobId }) => jobId),
    ),
  };
}

/** Where else BullMQ keeps a job: lists, whose every look-up reads the list, so not asked before. */
const lists = ["wait", "active", "paused"];
const answersPerJob = 4 + lists.length;

/** Every job is asked for in one transaction: BullMQ moves a job from list to list in one step. */
async function findOrphaned(redis: Redis, prefix: string, jobIds: string[]): Promise<string[]> {
  if (jobIds.length === 0) return [];
  const commands = redis.multi();
  for (const jobId of jobIds) {
    commands.exists(`${prefix}:${jobId}`);
    // A worker has it, whatever the lists say.
    commands.exists(`${prefix}:${jobId}:lock`);
    commands.zscore(`${prefix}:delayed`, jobId);
    commands.zscore(`${prefix}:prioritized`, jobId);
    for (const list of lists) commands.lpos(`${prefix}:${list}`, jobId);
  }
  const answers = await run(commands);
  return jobIds.filter((_, index) => {
    const [isThere, isLocked, ...places] = answers.slice(
      index * answersPerJob,
      (index + 1) * answersPerJob,
    );
    return isThere === 1 && isLocked === 0 && places.every((place) => place === null);
  });
}

async function run(commands: ReturnType<Redis["multi"]>): Promise<unknown[]> {
  return ((await commands.exec()) ?? []).map(([error, result]) => {
    if (error) throw error;
    return result;
  });
}
