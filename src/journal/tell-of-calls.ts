import type { Database } from "../store/database.ts";

/** What every process calls again and again though nothing happens; it rarely writes. */
export const steadyCalls: ReadonlySet<string> = new Set([
  "beat",
  "begin_maintenance",
  "check_counts",
  "claim_due",
  "claim_webhooks",
  "due_webhook_deliveries",
  "end_maintenance",
  "forget_idempotent",
  "forget_minutes",
  "forget_sessions",
  "forget_webhook_deliveries",
  "journal_lag",
  "list_claims",
  "list_pauses",
  "lost_claims",
  "note_incidents",
  "note_verified",
  "read_chains",
  "read_events",
  "read_figures",
  "read_fleet",
  "region_status",
  "record_webhook_deliveries",
  "report_state",
  "reserve_slots",
  "restored_report",
  "seal_journal",
  "take_over",
  "webhook_figures",
  "webhook_status",
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
