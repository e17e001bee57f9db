import type { EmailState } from "../email/email.ts";
import { type CancelFilter, cancelFilterArgs } from "./bulk-cancel.ts";
import type { Claims, Database } from "./database.ts";
import { toEmail } from "./email-json.ts";
import type { StoredEmail } from "./stored-email.ts";

/** Which dead letters are meant; absent: any. */
export interface DeadLetterFilter extends CancelFilter {
  /** Dismissed ones, too; they are left out otherwise. */
  isWithDismissed?: boolean;
  /** Name of a group of `groups`. */
  group?: string;
  /** The code of a recipient who has not got it. */
  smtpCode?: number;
  /** Fingerprint of the domain that refused it, or its fingerprint under each key of the ring. */
  domainIndex?: string | string[];
}

/** Dead letters that failed alike. */
export interface DeadLetterGroup {
  group: string;
  count: number;
  byStatus: Partial<Record<EmailState, number>>;
  /** When the first and the last of them became dead letters. */
  firstAt: Date;
  lastAt: Date;
  /** The newest, with attempts. */
  sample: StoredEmail;
}

export interface FoundDeadLetters {
  matched: number;
  byStatus: Partial<Record<EmailState, number>>;
  /** Oldest first, by creation; at most as many as asked for. */
  ids: string[];
}

/** One chunk of a bulk replay. */
export interface ReplayChunk {
  ids: string[];
  /** What the first chunk answered; null: this is the first. */
  start: string | null;
  /** How many were replayed before this chunk; those of it are due after them. */
  first: number;
  /** null: all at once. */
  ratePerMinute: number | null;
  /** null: now, by the database's clock. */
  scheduledAt: Date | null;
  /** Names the whole replay in the journal. */
  bulk: string;
  origin: string | null;
}

/** Dead letters, many at a time. Claims decide which are seen and changed. */
export interface DeadLetters {
  /** The largest first. */
  groups(
    filter: DeadLetterFilter,
    page: { limit: number; offset: number },
    as: Claims,
  ): Promise<{ groups: DeadLetterGroup[]; total: number }>;
  find(filter: DeadLetterFilter, limit: number, as: Claims): Promise<FoundDeadLetters>;
  /** All of the chunk or, when it throws, nothing. Ids that are no dead letters by now are left alone. */
  replay(chunk: ReplayChunk, as: Claims): Promise<{ replayed: number; start: string }>;
}

/** A UUID of a JSON list. */
const idBytes = 40;

/** `quotaPending`: what an owner may have waiting; a replay adds to it. Default: no limit. */
export function createDeadLetters(
  database: Database,
  { quotaPending = null }: { quotaPending?: number | null } = {},
): DeadLetters {
  return {
    async groups(filter, page, as) {
      const args = { filter: deadLetterFilterArgs(filter), ...page };
      const answer = (await database.rpc("dead_letter_groups", args, as)) as GroupsJson;
      return { groups: answer.groups.map(toGroup), total: answer.total };
    },

    async find(filter, limit, as) {
      const args = { change: "replay", filter: deadLetterFilterArgs(filter), limit };
      const large = { answerBytes: limit * idBytes };
      const answer = (await database.rpc("find_changeable", args, as, large)) as FoundJson;
      return { matched: answer.matched, byStatus: answer.by_state, ids: answer.ids };
    },

    async replay(chunk, as) {
      const args = {
        ids: chunk.ids,
        start: chunk.start,
        first: chunk.first,
        rate_per_minute: chunk.ratePerMinute,
        scheduled_at: chunk.scheduledAt,
        bulk: chunk.bulk,
        origin: chunk.origin,
        quota_pending: quotaPending,
      };
      return (await database.rpc("replay_emails", args, as)) as { replayed: number; start: string };
    },
  };
}

export function deadLetterFilterArgs(filter: DeadLetterFilter) {
  return {
    ...cancelFilterArgs(filter),
    is_open: !filter.isWithDismissed,
    group: filter.group,
    smtp_code: filter.smtpCode,
    failure_domain: filter.domainIndex,
  };
}

interface FoundJson {
  matched: number;
  by_state: FoundDeadLetters["byStatus"];
  ids: string[];
}

interface GroupJson {
  group: string;
  count: number;
  by_status: DeadLetterGroup["byStatus"];
  first_at: string;
  last_at: string;
  sample: unknown;
}

interface GroupsJson {
  groups: GroupJson[];
  total: number;
}

function toGroup(json: GroupJson): DeadLetterGroup {
  return {
    group: json.group,
    count: json.count,
    byStatus: json.by_status,
    firstAt: new Date(json.first_at),
    lastAt: new Date(json.last_at),
    sample: toEmail(json.sample),
  };
}
