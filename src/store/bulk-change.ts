import type { CancelFilter } from "./bulk-cancel.ts";
import type { Claims, Database } from "./database.ts";
import { type DeadLetterFilter, deadLetterFilterArgs } from "./dead-letters.ts";

/** What a person does to many emails at once. */
export type WantedChange =
  | { change: "hold" }
  | { change: "release" }
  /** To one moment, or by so many seconds from when each was scheduled for. */
  | { change: "reschedule"; scheduledAt: Date }
  | { change: "reschedule"; shiftSeconds: number }
  | { change: "dismiss"; reason: string | null };

/** Changing many emails, each as if it were changed alone. Claims decide which. */
export interface BulkChange {
  /** Those that may be changed so now, the oldest first; `ids` are at most `limit`. */
  find(
    wanted: WantedChange,
    filter: CancelFilter | DeadLetterFilter,
    limit: number,
    as: Claims,
  ): Promise<{ matched: number; ids: string[] }>;
  /** How many were changed; the others are past it by now. */
  change(
    wanted: WantedChange,
    chunk: { ids: string[]; bulk: string | null; origin: string | null },
    as: Claims,
  ): Promise<number>;
}

/** A UUID of a JSON list. */
const idBytes = 40;

export function createBulkChange(database: Database): BulkChange {
  return {
    async find(wanted, filter, limit, as) {
      const args = { ...changeArgs(wanted), filter: deadLetterFilterArgs(filter), limit };
      const large = { answerBytes: limit * idBytes };
      const answer = await database.rpc("find_changeable", args, as, large);
      const { matched, ids } = answer as { matched: number; ids: string[] };
      return { matched, ids };
    },

    async change(wanted, chunk, as) {
      const answer = await database.rpc("change_emails", { ...changeArgs(wanted), ...chunk }, as);
      return (answer as { changed: number }).changed;
    },
  };
}

function changeArgs(wanted: WantedChange) {
  return {
    change: wanted.change,
    ...("scheduledAt" in wanted ? { scheduled_at: wanted.scheduledAt } : {}),
    ...("shiftSeconds" in wanted ? { shift_seconds: wanted.shiftSeconds } : {}),
    ...("reason" in wanted ? { reason: wanted.reason } : {}),
  };
}
