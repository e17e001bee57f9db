import type { EmailState } from "../email/email.ts";
import type { Claims, Database } from "./database.ts";

/** Which emails are meant; absent: any. */
export interface CancelFilter {
  ids?: string[];
  statuses?: EmailState[];
  /** Emails that wait for another attempt after a spent one; beside `statuses` those as well. */
  isDeferred?: boolean;
  tag?: string;
  /** All must be equal, compared as text. */
  metadata?: Record<string, string>;
  /** Blind index of a recipient's address, or its index under each key of the ring. */
  addressIndex?: string | string[];
  scheduledAfter?: Date;
  scheduledBefore?: Date;
  /** Whose; only an admin's claims show anybody else's. */
  owner?: string;
  /** To which nothing has happened since this bulk change of them. */
  lastBulk?: LastBulk;
}

export interface LastBulk {
  id: string;
  /** An instant before the change; the journal is searched from there. */
  since: Date;
}

/** Cancelling many emails that have not been sent. Claims decide which. */
export interface BulkCancel {
  /** Those that may be cancelled now, the oldest first; `ids` are at most `limit`. */
  find(
    filter: CancelFilter,
    limit: number,
    as: Claims,
  ): Promise<{ matched: number; ids: string[] }>;
  /** How many of them will never be sent; the others were under way by then. */
  cancel(
    chunk: { ids: string[]; bulk: string; origin: string | null },
    as: Claims,
  ): Promise<number>;
}

/** A UUID of a JSON list. */
const idBytes = 40;

export function createBulkCancel(database: Database): BulkCancel {
  return {
    async find(asked, limit, as) {
      const filter = cancelFilterArgs(asked);
      const large = { answerBytes: limit * idBytes };
      const args = { change: "cancel", filter, limit };
      const answer = await database.rpc("find_changeable", args, as, large);
      const { matched, ids } = answer as { matched: number; ids: string[] };
      return { matched, ids };
    },

    async cancel({ ids, bulk, origin }, as) {
      const args = { change: "cancel", ids, bulk, origin };
      return ((await database.rpc("change_emails", args, as)) as { changed: number }).changed;
    },
  };
}

export function cancelFilterArgs(filter: CancelFilter) {
  return {
    ids: filter.ids,
    statuses: filter.statuses,
    is_deferred: filter.isDeferred,
    tag: filter.tag,
    metadata: filter.metadata,
    address_index: filter.addressIndex,
    scheduled_after: filter.scheduledAfter,
    scheduled_before: filter.scheduledBefore,
    owner: filter.owner,
    last_bulk: filter.lastBulk,
  };
}
