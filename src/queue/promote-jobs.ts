import type { Queue } from "bullmq";

/** BullMQ's reply for a job that is not delayed, or not any more. */
const notDelayed = /not in the delayed state|Missing/i;

/** One at a time: BullMQ has no way for several, and there are few. */
export async function promoteJobs(
  queue: Pick<Queue, "getBackend"> | undefined,
  jobIds: string[],
): Promise<void> {
  for (const jobId of jobIds) {
    await queue
      ?.getBackend()
      .promote(jobId)
      .catch((error: unknown) => {
        // It has begun by itself meanwhile, which is as good.
        if (!notDelayed.test(String(error))) throw error;
      });
  }
}
