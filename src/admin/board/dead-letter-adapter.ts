import { BaseAdapter } from "@bull-board/api/dist/queueAdapters/base.js";
import type {
  JobCounts,
  JobStatus,
  QueueJob,
  QueueJobJson,
  Status,
} from "@bull-board/api/typings/app";
import { type DecryptedEmail, decryptEmail } from "../../content/decrypt-email.ts";
import type { KeyRing } from "../../crypto/key-ring.ts";
import { deadLetterStates } from "../../email/states.ts";
import { AppError } from "../../errors.ts";
import type { Ticks } from "../../queue/ticks.ts";
import type { Emails } from "../../store/emails.ts";
import type { EmailFilter, StoredEmail } from "../../store/stored-email.ts";
import type { Acting } from "../acting.ts";
import { deadLetterQueueName } from "./board-rules.ts";
import { emailJob, type JobActions, refuse } from "./dead-letter-job.ts";

export interface DeadLetterAdapterDeps {
  emails: Emails;
  ticks: Pick<Ticks, "add">;
  keyRing: KeyRing;
  who: () => Acting;
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const filter: EmailFilter = {
  statuses: [...deadLetterStates],
  isDeferred: false,
  isOpen: true,
  tag: null,
  metadata: null,
  addressIndex: null,
  scheduledAfter: null,
  scheduledBefore: null,
};

/**
 * Dead letters as the failed jobs of a queue that is none: they are read from the database when
 * somebody looks, and decrypted for their eyes, so that no reply and no address is ever kept in
 * Redis. A retry is a replay.
 */
export class DeadLetterAdapter extends BaseAdapter {
  readonly #deps: DeadLetterAdapterDeps;

  constructor(
    deps: DeadLetterAdapterDeps,
    description = "Emails that need a decision. Retry sends to the recipients who have not received it.",
  ) {
    // Of the two types it knows, `bullmq` is asked for flows and for a global concurrency.
    super("bull", { description, allowCompletedRetries: false, externalJobUrl: linkOf });
    this.#deps = deps;
  }

  getName(): string {
    return deadLetterQueueName;
  }

  async getJob(id: string): Promise<QueueJob | null> {
    if (!uuid.test(id)) return null;
    const email = await this.#deps.emails.get(id, this.#deps.who().claims);
    return email === null ? null : this.#toJob(email);
  }

  getJobs(_statuses: JobStatus[], start = 0, end = start + 9): Promise<QueueJob[]> {
    return this.listJobs(filter, start, end);
  }

  protected async listJobs(asked: EmailFilter, start: number, end: number): Promise<QueueJob[]> {
    const page = { limit: end - start + 1, offset: start, cursor: null };
    const { emails, who } = this.#deps;
    const found = await emails.list(asked, page, who().claims, { withAttempts: true });
    return found.emails.map((email) => this.#toJob(email));
  }

  async getJobCounts(): Promise<JobCounts> {
    const page = { limit: 1, offset: 0, cursor: null };
    const { total } = await this.#deps.emails.list(filter, page, this.#deps.who().claims);
    return { failed: total ?? 0 };
  }

  #toJob(email: StoredEmail): QueueJob {
    return emailJob(email, this.#decrypt(email), this.actionsOf(email.id));
  }

  protected actionsOf(id: string): JobActions {
    return { retry: () => this.#replay(id), promote: refuse, remove: refuse };
  }

  /** Null: its key is not in the ring, or a part of it was changed. */
  #decrypt(email: StoredEmail): DecryptedEmail | null {
    const decrypted = decryptEmail(email, this.#deps.keyRing);
    return decrypted.fault === undefined ? decrypted : null;
  }

  async #replay(id: string): Promise<void> {
    const { emails, ticks, who } = this.#deps;
    const { claims, origin } = who();
    const replayed = await emails.replay(id, claims, { scheduledAt: null, origin });
    if (replayed.kind === "replayed") {
      ticks.add(replayed);
      return;
    }
    throw notReplayed(replayed.kind === "not_found" ? null : replayed.state);
  }

  getStatuses(): Status[] {
    return ["latest", "failed"];
  }
  getJobStatuses(): JobStatus[] {
    return ["failed"];
  }
  async isPaused() {
    return false;
  }
  async getJobLogs() {
    return [];
  }
  async getMetrics() {
    return { meta: { count: 0, prevTS: 0, prevCount: 0 }, data: [], count: 0 };
  }
  async getRedisInfo() {
    return null;
  }
  async getJobSchedulers() {
    return [];
  }
  async getJobSchedulersCount() {
    return 0;
  }
  async getGlobalConcurrency() {
    return null;
  }

  // The rules of the board refuse all of these before they get here.
  clean = refuse;
  addJob = refuse;
  pause = refuse;
  resume = refuse;
  empty = refuse;
  obliterate = refuse;
  promoteAll = refuse;
  removeJobScheduler = refuse;
  updateJobScheduler = refuse;
  runJobSchedulerNow = refuse;
  setGlobalConcurrency = refuse;
}

function notReplayed(state: string | null): AppError {
  if (state === null) return new AppError("not_found", { publicDetail: "There is no such email." });
  return new AppError("not_a_dead_letter", {
    publicDetail: `It is ${state} by now; only dead letters are replayed.`,
  });
}

/** To its page of the console, which Bull Board opens beside itself. */
function linkOf({ id }: QueueJobJson) {
  return { displayText: "Open in the console", href: `/console/emails/${id}` };
}
