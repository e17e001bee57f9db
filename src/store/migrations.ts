import tables from "../../supabase/migrations/20261124000001_tables.sql" with { type: "text" };
import callAs from "../../supabase/migrations/20261124000002_call_as.sql" with { type: "text" };
import accept from "../../supabase/migrations/20261124000003_accept.sql" with { type: "text" };
import deliver from "../../supabase/migrations/20261124000004_deliver.sql" with { type: "text" };
import read from "../../supabase/migrations/20261124000005_read.sql" with { type: "text" };
import reconcile from "../../supabase/migrations/20261124000006_reconcile.sql" with {
  type: "text",
};
import seal from "../../supabase/migrations/20261124000007_seal.sql" with { type: "text" };
import recordAction from "../../supabase/migrations/20261124000008_record_action.sql" with {
  type: "text",
};
import views from "../../supabase/migrations/20261124000009_views.sql" with { type: "text" };
import transportSlots from "../../supabase/migrations/20261124000010_transport_slots.sql" with {
  type: "text",
};
import changeEmails from "../../supabase/migrations/20261124000011_change_emails.sql" with {
  type: "text",
};
import deadLetters from "../../supabase/migrations/20261124000012_dead_letters.sql" with {
  type: "text",
};
import reconcileMore from "../../supabase/migrations/20261124000013_reconcile_more.sql" with {
  type: "text",
};
import operate from "../../supabase/migrations/20261124000014_operate.sql" with { type: "text" };
import apiKeys from "../../supabase/migrations/20261124000015_api_keys.sql" with { type: "text" };
import audit from "../../supabase/migrations/20261124000016_audit.sql" with { type: "text" };
import rotateKeys from "../../supabase/migrations/20261124000017_rotate_keys.sql" with {
  type: "text",
};
import limits from "../../supabase/migrations/20261124000018_limits.sql" with { type: "text" };
import quotas from "../../supabase/migrations/20261124000019_quotas.sql" with { type: "text" };
import tenancy from "../../supabase/migrations/20261124000020_tenancy.sql" with { type: "text" };
import sessions from "../../supabase/migrations/20261124000021_sessions.sql" with { type: "text" };
import schemaVersion from "../../supabase/migrations/20261124000022_schema_version.sql" with {
  type: "text",
};
import sharedTransports from "../../supabase/migrations/20261124000023_shared_transports.sql" with {
  type: "text",
};
import indexPlans from "../../supabase/migrations/20261124000024_index_plans.sql" with {
  type: "text",
};
import longLists from "../../supabase/migrations/20261124000025_long_lists.sql" with {
  type: "text",
};
import plainTexts from "../../supabase/migrations/20261124000026_plain_texts.sql" with {
  type: "text",
};
import acceptAndClaim from "../../supabase/migrations/20261124000027_accept_and_claim.sql" with {
  type: "text",
};
import packedMessages from "../../supabase/migrations/20261124000028_packed_messages.sql" with {
  type: "text",
};
import claimAhead from "../../supabase/migrations/20261124000029_claim_ahead.sql" with {
  type: "text",
};
import steadyCalls from "../../supabase/migrations/20261124000030_steady_calls.sql" with {
  type: "text",
};
import outageSeen from "../../supabase/migrations/20261124000031_outage_seen.sql" with {
  type: "text",
};
import selfAudit from "../../supabase/migrations/20261124000032_self_audit.sql" with {
  type: "text",
};
import fullTransactions from "../../supabase/migrations/20261124000033_full_transactions.sql" with {
  type: "text",
};
import beatCounter from "../../supabase/migrations/20261124000034_beat_counter.sql" with {
  type: "text",
};
import keptKeys from "../../supabase/migrations/20261124000035_kept_keys.sql" with { type: "text" };

import pauses from "../../supabase/migrations/20261124000036_pauses.sql" with { type: "text" };
import claimDue from "../../supabase/migrations/20261124000037_claim_due.sql" with { type: "text" };
import oneWay from "../../supabase/migrations/20261124000038_one_way.sql" with { type: "text" };
import unseenClaims from "../../supabase/migrations/20261124000039_unseen_claims.sql" with {
  type: "text",
};

/** One file of `supabase/migrations`, carried in the program. */
export interface Migration {
  /** Timestamp that starts the file's name; the order of application. */
  version: string;
  name: string;
  sql: string;
}

/** All of them, oldest first; a test compares this list with the folder. */
export const MIGRATIONS: readonly Migration[] = [
  { version: "20261124000001", name: "tables", sql: tables },
  { version: "20261124000002", name: "call_as", sql: callAs },
  { version: "20261124000003", name: "accept", sql: accept },
  { version: "20261124000004", name: "deliver", sql: deliver },
  { version: "20261124000005", name: "read", sql: read },
  { version: "20261124000006", name: "reconcile", sql: reconcile },
  { version: "20261124000007", name: "seal", sql: seal },
  { version: "20261124000008", name: "record_action", sql: recordAction },
  { version: "20261124000009", name: "views", sql: views },
  { version: "20261124000010", name: "transport_slots", sql: transportSlots },
  { version: "20261124000011", name: "change_emails", sql: changeEmails },
  { version: "20261124000012", name: "dead_letters", sql: deadLetters },
  { version: "20261124000013", name: "reconcile_more", sql: reconcileMore },
  { version: "20261124000014", name: "operate", sql: operate },
  { version: "20261124000015", name: "api_keys", sql: apiKeys },
  { version: "20261124000016", name: "audit", sql: audit },
  { version: "20261124000017", name: "rotate_keys", sql: rotateKeys },
  { version: "20261124000018", name: "limits", sql: limits },
  { version: "20261124000019", name: "quotas", sql: quotas },
  { version: "20261124000020", name: "tenancy", sql: tenancy },
  { version: "20261124000021", name: "sessions", sql: sessions },
  { version: "20261124000022", name: "schema_version", sql: schemaVersion },
  { version: "20261124000023", name: "shared_transports", sql: sharedTransports },
  { version: "20261124000024", name: "index_plans", sql: indexPlans },
  { version: "20261124000025", name: "long_lists", sql: longLists },
  { version: "20261124000026", name: "plain_texts", sql: plainTexts },
  { version: "20261124000027", name: "accept_and_claim", sql: acceptAndClaim },
  { version: "20261124000028", name: "packed_messages", sql: packedMessages },
  { version: "20261124000029", name: "claim_ahead", sql: claimAhead },
  { version: "20261124000030", name: "steady_calls", sql: steadyCalls },
  { version: "20261124000031", name: "outage_seen", sql: outageSeen },
  { version: "20261124000032", name: "self_audit", sql: selfAudit },
  { version: "20261124000033", name: "full_transactions", sql: fullTransactions },
  { version: "20261124000034", name: "beat_counter", sql: beatCounter },
  { version: "20261124000035", name: "kept_keys", sql: keptKeys },
  { version: "20261124000036", name: "pauses", sql: pauses },
  { version: "20261124000037", name: "claim_due", sql: claimDue },
  { version: "20261124000038", name: "one_way", sql: oneWay },
  { version: "20261124000039", name: "unseen_claims", sql: unseenClaims },
];

/** The version of the schema that this program was written for. */
export const SCHEMA_VERSION = MIGRATIONS.at(-1)?.version ?? "";
