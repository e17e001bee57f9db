import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import type { Job, Queue } from "bullmq";
import type { Acting } from "../acting.ts";

/** A queue of BullMQ, to look at. */
export interface RealQueue {
  queue: Queue;
  /** For whoever looks: what its jobs do. */
  description: string;
  /**
   * Told before a waiting job is run now, so that the journal has it; what fails keeps it waiting.
   * Absent: there is nothing to press.
   */
  onRunNow?: (jobName: string, by: Acting) => Promise<void>;
}

export class RealQueueAdapter extends BullMQAdapter {
  readonly #onRunNow: RealQueue["onRunNow"];
  readonly #who: () => Acting;

  constructor({ queue, description, onRunNow }: RealQueue, who: () => Acting) {
    super(queue, { description, readOnlyMode: onRunNow === undefined });
    this.#onRunNow = onRunNow;
    this.#who = who;
  }

  override async getJob(id: string): Promise<Job | undefined> {
    const job = await super.getJob(id);
    const onRunNow = this.#onRunNow;
    if (job === undefined || onRunNow === undefined) return job;
    const promote = job.promote.bind(job);
    job.promote = async () => {
      await onRunNow(job.name, this.#who());
      await promote();
    };
    return job;
  }
}
