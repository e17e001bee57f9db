import { type Claims, type Database, partClaims } from "./database.ts";
import { toPage, toWallClock, toWholeEmail } from "./email-json.ts";
import { type EventJson, type StoredEvent, toEvent } from "./events.ts";
import { createGroupCommit } from "./group-commit.ts";
import type {
  CancelAnswer,
  EmailFilter,
  EmailPage,
  IdempotencyClaim,
  IdempotentAnswer,
  ListPage,
  NewEmail,
  QueueStats,
  Quota,
  QuotaExceeded,
  ReplayAnswer,
  ScheduleAnswer,
  ScheduledEmail,
  ScheduleRequest,
  ShredAnswer,
  StoredEmail,
  WholeEmail,
} from "./stored-email.ts";

/** Emails as callers know them: accept, read, cancel, replay. Claims decide what they see. */
export interface Emails {
  /** Durable once it resolves. Travels with other requests in one commit. */
  schedule(request: ScheduleRequest): Promise<ScheduleAnswer>;
  /** What an earlier request with this key was answered; null when the key is new. */
  findIdempotent(
    ownerId: string,
    claim: Omit<IdempotencyClaim, "response">,
  ): Promise<IdempotentAnswer | null>;
  /**
   * Keeps the answer of a request that stores no emails beside its key; an earlier one stays, unless
   * it is `replaces`.
   */
  keepIdempotent(ownerId: string, claim: IdempotencyClaim & { replaces?: string }): Promise<void>;
  /** null: none that these claims may see. */
  get(
    id: string,
    as: Claims,
    parts?: { details?: boolean; message?: boolean },
  ): Promise<WholeEmail | null>;
  /**
   * Newest first by creation, or with `sort` the earliest first by due time; give an offset (then `total` is set) or a cursor. More than
   * `totalMax` are not counted: that would take longer the more there are.
   */
  list(
    filter: EmailFilter,
    page: ListPage,
    as: Claims,
    options?: { withAttempts?: boolean; totalMax?: number },
  ): Promise<EmailPage>;
  /** The timeline in order; null: no such email for these claims. */
  events(id: string, as: Claims): Promise<StoredEvent[] | null>;
  cancel(id: string, as: Claims, origin: string | null): Promise<CancelAnswer>;
  /** Destroys the content of one that has ended, for good; again is no change. */
  shred(id: string, as: Claims, origin: string | null): Promise<ShredAnswer>;
  /** Sends a dead letter again to those who have not got it. */
  replay(
    id: string,
    as: Claims,
    options: { scheduledAt: Date | null; origin: string | null },
  ): Promise<ReplayAnswer>;
  stats(as: Claims): Promise<QueueStats>;
}

const acceptClaims = partClaims("accept");

/** Whose worker claims what is due as it is accepted. */
export interface Claimant {
  workerId: string;
  region: string;
  /** Name of the transport, for the journal. */
  transport: string;
}

export function createEmails(database: Database, claimant?: Claimant): Emails {
  const accepts = createAccepts(database, claimant);

  return {
    schedule: (request) => accepts.add(request),

    async findIdempotent(ownerId, claim) {
      const answer = (await database.rpc(
        "find_idempotent",
        { owner_id: ownerId, ...claim },
        acceptClaims,
      )) as IdempotentJson | { kind: "new" };
      return answer.kind === "new" ? null : toIdempotent(answer);
    },

    async keepIdempotent(ownerId, claim) {
      await database.rpc("keep_answer", { owner_id: ownerId, ...claim }, acceptClaims);
    },

    async get(id, as, { details = false, message = false } = {}) {
      const row = await database.rpc("get_email", { id, details, message: false }, as);
      if (row === null) return null;
      const email = toWholeEmail(row);
      return message ? getWithMessage(database, email, as, details) : email;
    },

    async list(filter, page, as, { withAttempts = false, totalMax } = {}) {
      const counting = { with_attempts: withAttempts, total_max: totalMax ?? null };
      const args = { ...listArgs(filter, page), ...counting };
      return toPage(await database.rpc("list_emails", args, as));
    },

    async events(id, as) {
      const rows = (await database.rpc("email_events", { id }, as)) as EventJson[] | null;
      return rows === null ? null : rows.map(toEvent);
    },

    async cancel(id, as, origin) {
      const answer = await database.rpc("cancel_email", { id, origin }, as);
      return (answer as { kind: CancelAnswer }).kind;
    },

    async shred(id, as, origin) {
      return (await database.rpc("shred_email", { id, origin }, as)) as ShredAnswer;
    },

    async replay(id, as, options) {
      const answer = (await database.rpc(
        "replay_email",
        {
          id,
          scheduled_at: options.scheduledAt,
          origin: options.origin,
        },
        as,
      )) as ReplayJson;
      return answer.kind === "replayed" ? { kind: "replayed", delayMs: answer.delay_ms } : answer;
    },

    async stats(as) {
      const row = (await database.rpc("queue_stats", {}, as)) as StatsJson;
      return {
        waiting: row.waiting,
        delayed: row.delayed,
        oldestDueMs: row.oldest_due_ms,
        byStatus: row.by_status,
      };
    },
  };
}

/**
 * Again and whole, so that its parts belong together: only now its size is known, and with it how
 * long reading it may take.
 */
async function getWithMessage(
  database: Database,
  { id, messageBytes }: WholeEmail,
  as: Claims,
  details: boolean,
): Promise<WholeEmail | null> {
  const args = { id, details, message: true };
  const row = await database.rpc("get_email", args, as, { answerBytes: messageBytes });
  return row === null ? null : toWholeEmail(row);
}

function createAccepts(database: Database, claimant: Claimant | undefined) {
  return createGroupCommit<ScheduleRequest, ScheduleAnswer>({
    // With a quota the commits of one owner wait for each other: on a slow disk that is no lock.
    lockTimeoutMs: 2_000,
    send: async (requests, { lockTimeoutMs }) => {
      const lines = acceptLines(requests, claimant);
      const [head, ...rest] = lines;
      const answer = await database.rpc("accept_emails", head, acceptClaims, {
        lines: rest,
        lockTimeoutMs,
      });
      return toAnswers(requests, answer as AcceptJson);
    },
    // Base64 makes 4 bytes of 3; the small fields of an email are about 2 kB.
    sizeOf: (request) =>
      request.emails.reduce((sum, email) => {
        return sum + email.message.length * 1.4 + email.details.length + 1500;
      }, 0),
  });
}

function listArgs(filter: EmailFilter, page: ListPage) {
  return {
    owner: filter.owner,
    is_open: filter.isOpen,
    is_due: filter.isDue,
    updated_after: filter.updatedAfter,
    statuses: filter.statuses,
    is_deferred: filter.isDeferred,
    tag: filter.tag,
    metadata: filter.metadata,
    address_index: filter.addressIndex,
    scheduled_after: filter.scheduledAfter,
    scheduled_before: filter.scheduledBefore,
    group: filter.group,
    smtp_code: filter.smtpCode,
    limit: page.limit,
    offset: page.offset,
    cursor: cursorArgs(page),
    sort: page.sort,
    is_before: page.before === undefined ? undefined : true,
  };
}

/** An email's place is looked up by its id. */
function cursorArgs({ cursor, after, before }: ListPage) {
  if (cursor) return { created_at: cursor.createdAt, id: cursor.id };
  const id = after ?? before;
  return id === undefined ? null : { created_at: null, id };
}

interface StatsJson {
  waiting: number;
  delayed: number;
  oldest_due_ms: number;
  by_status: QueueStats["byStatus"];
}

type ReplayJson =
  | { kind: "replayed"; delay_ms: number }
  | { kind: "not_found" }
  | { kind: "not_a_dead_letter"; state: StoredEmail["status"] };

type IdempotentJson =
  | { kind: "replayed"; response: string; created_at: string }
  | { kind: "reused" };
interface QuotaJson {
  kind: "quota_exceeded";
  quota: "per_day" | "pending";
  used: number;
  resets_in_seconds: number | null;
}
interface AcceptJson {
  /** By the place of the request, from 1. */
  refused: Record<string, IdempotentJson | QuotaJson>;
  emails: {
    id: string;
    scheduled_at: string;
    created_at: string;
    delay_ms: number | null;
    token: number | null;
  }[];
}

/** Each request's answer, in their order. */
function toAnswers(
  requests: readonly ScheduleRequest[],
  { refused, emails }: AcceptJson,
): ScheduleAnswer[] {
  const stored = new Map(emails.map((email) => [email.id, toScheduled(email)]));
  return requests.map((request, index) => {
    const refusal = refused[index + 1];
    if (refusal) return toRefusal(refusal);
    const accepted = request.emails.map(({ id }) => stored.get(id));
    const known = accepted.filter((email) => email !== undefined);
    if (known.length !== accepted.length) throw new Error("an accepted email was not answered for");
    return { kind: "accepted", emails: known };
  });
}

function toScheduled(email: AcceptJson["emails"][number]): ScheduledEmail {
  return {
    id: email.id,
    scheduledAt: new Date(email.scheduled_at),
    createdAt: new Date(email.created_at),
    delayMs: email.delay_ms,
    token: email.token,
  };
}

function toRefusal(answer: IdempotentJson | QuotaJson): IdempotentAnswer | QuotaExceeded {
  if (answer.kind !== "quota_exceeded") return toIdempotent(answer);
  const { kind, quota, used, resets_in_seconds: resetsInSeconds } = answer;
  return { kind, quota, used, resetsInSeconds };
}

function toIdempotent(answer: IdempotentJson): IdempotentAnswer {
  return answer.kind === "reused"
    ? answer
    : { kind: "replayed", response: answer.response, createdAt: new Date(answer.created_at) };
}

function quotaJson(quota: Quota | undefined) {
  if (!quota || (quota.perDay === null && quota.pending === null)) return null;
  return { per_day: quota.perDay, pending: quota.pending };
}

/** Line by line as `accept_emails` takes them; the first is an object. */
function acceptLines(
  requests: readonly ScheduleRequest[],
  claimant: Claimant | undefined,
): [head: object, ...lines: string[]] {
  const large: string[] = [];
  // Counted from 1, behind the four lines of JSON.
  const lineOf = (text: string) => large.push(text) + 4;
  const emails: object[] = [];
  const recipients: object[] = [];
  for (const [index, request] of requests.entries()) {
    const { ownerId: owner_id, actor, origin } = request;
    const place = { request: index + 1, owner_id };
    const asked = { ...place, actor, origin };
    for (const email of request.emails) {
      emails.push({ ...asked, ...emailJson(email, claimant, lineOf) });
      for (const { position, kind, address, addressIndex } of email.recipients) {
        const addressee = { position, kind, address, address_index: addressIndex };
        recipients.push({ ...place, id: email.id, ...addressee });
      }
    }
  }
  const head = {
    actor: partClaims("worker", claimant?.region).sub,
    worker_id: claimant?.workerId ?? null,
    transport: claimant?.transport ?? null,
    region: claimant?.region ?? null,
  };
  const texts = [limitsJson(requests), emails, recipients].map((list) => JSON.stringify(list));
  return [head, ...texts, ...large];
}

/** What may refuse a request; nothing, for everybody, when there is nothing for anybody. */
function limitsJson(requests: readonly ScheduleRequest[]): object[] {
  const limits = requests.map(({ ownerId, idempotency, quota, emails }) => ({
    owner_id: ownerId,
    idempotency,
    quota: quotaJson(quota),
    emails: emails.map(({ id }) => ({ id })),
  }));
  return limits.some(({ idempotency, quota }) => idempotency || quota) ? limits : [];
}

function emailJson(
  email: NewEmail,
  claimant: Claimant | undefined,
  lineOf: (text: string) => number,
): object {
  return {
    id: email.id,
    region: email.region,
    scheduled_at: email.scheduledAt,
    wall_clock: toWallClock(email.wallClock),
    expires_at: email.expiresAt,
    max_lateness_seconds: email.maxLatenessSeconds,
    on_late: email.onLate,
    on_uncertain: email.onUncertain,
    max_retries: email.maxRetries,
    max_age_seconds: email.maxAgeSeconds,
    tags: email.tags,
    metadata: email.metadata,
    wrapped_key: email.wrappedKey,
    sender: email.sender,
    subject: email.subject,
    message_bytes: email.messageBytes,
    message_line: lineOf(base64Of(email.message)),
    details_line: lineOf(email.details),
    is_claimed: claimant !== undefined && email.isClaimed === true,
  };
}

/** Without the copy that `Buffer.from` makes of an array. */
function base64Of({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString("base64");
}
