import type { JobCounts, JobStatus, QueueJob, Status } from "@bull-board/api/typings/app";
import type { EmailState } from "../../email/email.ts";
import type { Change } from "../../emails/change.ts";
import { changeRefused } from "../../emails/change-refusal.ts";
import type { PauseWatch } from "../../queue/pause-watch.ts";
import type { EmailFilter } from "../../store/stored-email.ts";
import { emailsQueueName } from "./board-rules.ts";
import { DeadLetterAdapter, type DeadLetterAdapterDeps } from "./dead-letter-adapter.ts";
import type { JobActions } from "./dead-letter-job.ts";

export interface EmailsAdapterDeps extends DeadLetterAdapterDeps {
  change: Pick<Change, "sendNow">;
  /** Whose sending the button pauses. */
  region: string;
  pauses: PauseWatch;
}

/**
 * All emails as the jobs of a queue that is none: read from the database when somebody looks, since
 * no job stands for an email. States and counts are those of GET /api/v1/queue-stats. The button
 * pauses sending of the region; a retry is a replay, a promotion sends now, a removal cancels.
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
    // Asked for all of them it shows the latest, whatever they have come to.
    const filter = statuses.length === 1 && status ? filterOf(status) : everything;
    return this.listJobs(filter, start, end);
  }

  override async getJobCounts(): Promise<JobCounts> {
    const { emails, who } = this.#deps;
    const { byStatus, waiting, delayed } = await emails.stats(who().claims);
    const count = (status: keyof typeof statesOf) =>
      statesOf[status].reduce((sum, state) => sum + (byStatus[state] ?? 0), 0);
    return {
      waiting,
      delayed,
      active: count("active"),
      completed: count("completed"),
      failed: count("failed"),
      paused: count("paused"),
    };
  }

  override getStatuses(): Status[] {
    return ["latest", ...this.getJobStatuses()] as Status[];
  }

  override getJobStatuses(): JobStatus[] {
    return ["active", "waiting", "delayed", "completed", "failed", "paused"];
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

  protected override actionsOf(id: string): JobActions {
    return {
      ...super.actionsOf(id),
      promote: () => this.#deps.change.sendNow({ id, ...this.#deps.who(), versions: null }),
      remove: () => this.#cancel(id),
    };
  }

  async #cancel(id: string): Promise<void> {
    const { emails, who } = this.#deps;
    const { claims, origin } = who();
    const answer = await emails.cancel(id, claims, origin);
    if (answer !== "cancelled") throw changeRefused(answer);
  }

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

/** As queue-stats counts them; what is pending is delayed until it is due. */
const statesOf = {
  active: ["sending"],
  completed: ["sent", "partially_sent"],
  failed: ["failed", "uncertain"],
  paused: ["held"],
} satisfies Record<string, EmailState[]>;

function filterOf(status: JobStatus): EmailFilter {
  if (status in statesOf) {
    return { ...everything, statuses: statesOf[status as keyof typeof statesOf] };
  }
  return { ...everything, statuses: ["pending"], isDue: status === "waiting" };
}
