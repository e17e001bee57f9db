import type { Claims, Database } from "./database.ts";

/** Which emails are meant; absent: any. */
export interface CancelFilter {
  tag?: string;
  /** All must be equal, compared as text. */
  metadata?: Record<string, string>;
  scheduledAfter?: Date;
  scheduledBefore?: Date;
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
    async find({ tag, metadata, scheduledAfter, scheduledBefore }, limit, as) {
      const filter = {
        tag,
        metadata,
        scheduled_after: scheduledAfter,
        scheduled_before: scheduledBefore,
      };
      const large = { answerBytes: limit * idBytes };
      const answer = await database.rpc("find_cancellable", { filter, limit }, as, large);
      return answer as { matched: number; ids: string[] };
    },

    async cancel({ ids, bulk, origin }, as) {
      const answer = await database.rpc("cancel_emails", { ids, bulk, origin }, as);
      return (answer as { cancelled: number }).cancelled;
    },
  };
}
