import type { Database } from "../store/database.ts";

/** What every process calls again and again though nothing happens; it rarely writes. */
export const steadyCalls: ReadonlySet<string> = new Set([
  "beat",
  "claim_due",
  "journal_lag",
  "list_claims",
  "list_pauses",
  "lost_claims",
  "read_figures",
  "read_fleet",
  "region_standing",
  "report_state",
  "reserve_slots",
  "seal_journal",
  "take_over",
]);

/** The database, and `tell` is called after each call that may have written to the journal. */
export function tellOfCalls<D extends Database>(database: D, tell: () => void): D {
  const rpc: Database["rpc"] = async (fn, args, as, large) => {
    try {
      return await database.rpc(fn, args, as, large);
    } finally {
      // Also when the answer was lost: the call may have committed.
      if (!steadyCalls.has(fn)) tell();
    }
  };
  return { ...database, rpc };
}
