import type { JobCounts, JobStatus, QueueJob, Status } from "@bull-board/api/typings/app";
import type { EmailState } from "../email/email.ts";
import { deadLetterStates } from "../email/states.ts";
import type { PauseWatch } from "../queue/pause-watch.ts";
import type { EmailFilter } from "../store/stored-email.ts";
import { emailsQueueName } from "./board-rules.ts";
import { DeadLetterAdapter, type DeadLetterAdapterDeps } from "./dead-letter-adapter.ts";

export interface EmailsAdapterDeps extends DeadLetterAdapterDeps {
  /** Whose sending the button pauses. */
  region: string;
  pauses: PauseWatch;
}

/**
 * All emails as the jobs of a queue that is none: read from the database when somebody looks, since
 * no job stands for an email. What is due later is delayed, what was sent is completed, dead
 * letters are failed. The button pauses sending of the region.
 */
export class EmailsAdapter extends DeadLetterAdapter {
  readonly #deps: EmailsAdapterDeps;

  constructor(deps: EmailsAdapterDeps) {
    super(deps, `Every email, from the database. Pausing stops sending in region ${deps.region}.`);
    this.#deps = deps;
  }

  override getName() {
    return emailsQueueName;
  }

  override async getJobs(statuses: JobStatus[], start = 0, end = start + 9): Promise<QueueJob[]> {
    const [status] = statuses;
    return this.listJobs(filterOf(status ?? "delayed", new Date()), start, end);
  }

  override async getJobCounts(): Promise<JobCounts> {
    const { emails, who } = this.#deps;
    const { byStatus, waiting, delayed } = await emails.stats(who().claims);
    const count = (states: readonly EmailState[]) =>
      states.reduce((sum, state) => sum + (byStatus[state] ?? 0), 0);
    return {
      waiting,
      delayed,
      active: count(["sending"]),
      completed: count(["sent"]),
      failed: count(deadLetterStates),
    };
  }

  override getStatuses(): Status[] {
    return ["latest", ...this.getJobStatuses()] as Status[];
  }

  override getJobStatuses(): JobStatus[] {
    return ["active", "waiting", "delayed", "completed", "failed"];
  }

  override async isPaused(): Promise<boolean> {
    const { pauses, region } = this.#deps;
    return pauses.last.some(({ kind, name }) => kind === "region" && name === region);
  }

  override pause = async (): Promise<never> => {
    const reason = "paused on the board";
    await this.#deps.pauses.pause({ ...this.#target, reason }, this.#deps.who());
    return undefined as never;
  };

  override resume = async (): Promise<never> => {
    await this.#deps.pauses.resume(this.#target, this.#deps.who());
    return undefined as never;
  };

  get #target() {
    return { kind: "region", name: this.#deps.region } as const;
  }
}

const everything: EmailFilter = {
  statuses: null,
  isDeferred: false,
  tag: null,
  metadata: null,
  addressIndex: null,
  scheduledAfter: null,
  scheduledBefore: null,
};

function filterOf(status: JobStatus, now: Date): EmailFilter {
  switch (status) {
    case "active":
      return { ...everything, statuses: ["sending"] };
    case "completed":
      return { ...everything, statuses: ["sent"] };
    case "failed":
      return { ...everything, statuses: [...deadLetterStates] };
    case "waiting":
      return { ...everything, statuses: ["pending"], scheduledBefore: now };
    default:
      return { ...everything, statuses: ["pending"], scheduledAfter: now };
  }
}
