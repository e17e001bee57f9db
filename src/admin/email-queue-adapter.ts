import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import type { JobCounts, JobStatus } from "@bull-board/api/typings/app";
import type { JobType, Queue } from "bullmq";
import type { WakeJob } from "../queue/enqueue.ts";
import type { QueuePause } from "../queue/queue-pause.ts";
import type { Actions, AdminAction } from "../store/actions.ts";
import type { Acting } from "./acting.ts";

/** A state of BullMQ's PostgreSQL backend that its types leave out. */
const paused = "paused" as JobType;

export interface EmailQueueAdapterDeps {
  queue: Queue<WakeJob>;
  actions: Actions;
  /** Whose queue it is; pausing stops the workers of this region. */
  region: string;
  /** Told of what was done here, so that nothing goes past a paused queue. */
  pause?: Pick<QueuePause, "note"> | undefined;
  who: () => Acting;
}

/** The queue `emails` as the board shows it: its jobs are wake-ups and hold no content. */
export class EmailQueueAdapter extends BullMQAdapter {
  readonly #deps: EmailQueueAdapterDeps;

  constructor(deps: EmailQueueAdapterDeps) {
    super(deps.queue, {
      description: `Emails due soon in region ${deps.region}. Times and states are the database's.`,
      allowRetries: false,
    });
    this.#deps = deps;
  }

  /** Jobs are removed when they end and never have children: their tabs would stay empty. */
  override getJobStatuses(): JobStatus[] {
    return ["active", "waiting", "delayed"];
  }

  /**
   * Every job has a place, which BullMQ calls a priority: what waits is `prioritized` to it. On
   * PostgreSQL, what waits without one in a paused queue is called `paused`.
   */
  override async getJobCounts(): Promise<JobCounts> {
    const { queue } = this.#deps;
    const types = ["active", "waiting", "delayed", "prioritized", paused] as const;
    const {
      waiting = 0,
      prioritized = 0,
      [paused]: alsoWaiting = 0,
      ...counts
    } = await queue.getJobCounts(...types);
    return { ...counts, waiting: waiting + prioritized + alsoWaiting };
  }

  override getJobs(statuses: JobStatus[], start?: number, end?: number) {
    const asked: JobStatus[] = statuses.includes("waiting")
      ? [...statuses, "prioritized", "paused"]
      : statuses;
    return super.getJobs(asked, start, end);
  }

  override pause(): Promise<void> {
    return this.#recorded("queue.paused", async () => {
      this.#deps.pause?.note(true);
      await super.pause();
    });
  }

  override resume(): Promise<void> {
    return this.#recorded("queue.resumed", async () => {
      await super.resume();
      this.#deps.pause?.note(false);
    });
  }

  /** Rate limits are the transport's business. */
  override get supportsGlobalRateLimit(): boolean {
    return false;
  }

  /**
   * The entry comes first: an entry too many, marked as failed by the next one, is better than
   * a change nobody can be asked about.
   */
  async #recorded(action: AdminAction["action"], change: () => Promise<void>): Promise<void> {
    const { actions, region } = this.#deps;
    const { claims, origin } = this.#deps.who();
    const detail = { queue: this.getName(), region };
    await actions.record({ action, detail, origin }, claims);
    try {
      await change();
    } catch (error) {
      await actions.record({ action, detail: { ...detail, result: "failed" }, origin }, claims);
      throw error;
    }
  }
}
