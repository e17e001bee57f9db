import { spendCallBudget } from "./call-budget.ts";
import { sqlStateOf } from "./call-error.ts";
import { type CallOptions, type Claims, callText, claimsText, deadlineFor } from "./database.ts";
import { openPool } from "./open-pool.ts";
import { queryWithin } from "./postgres-database.ts";
import { lsnText, parseLsn } from "./recent-writers.ts";

/** What a server says of itself. */
export interface ReplicaFacts {
  /** False once it was promoted: it takes writes of its own, and follows nobody. */
  isReplica: boolean;
  /** How far it has replayed the primary's log; null: it replays none. */
  lsn: bigint | null;
  /** Of its cluster, which its primary shares; null: it does not say. */
  system: string | null;
}

export interface ReplicaCall {
  fn: string;
  args: unknown;
  as: Claims;
  options?: CallOptions | undefined;
  /** What the server must have replayed before it may answer. */
  required: bigint;
}

/** A call's answer as text, and how far the server was afterwards. */
export interface ReplicaAnswer {
  answer: string | null;
  lsn: bigint;
}

export interface ReplicaConnection {
  look(): Promise<ReplicaFacts>;
  /** null: this server is no replica any more, or has not replayed as much; nothing was read. */
  call(call: ReplicaCall): Promise<ReplicaAnswer | null>;
  close(): Promise<void>;
}

/** The primary must have time to answer after a replica that hangs: HTTP answers within 5 s. */
const deadlineMs = 1_500;

const LOOK = `select pg_is_in_recovery() as is_replica,
  case when pg_is_in_recovery() then pg_last_wal_replay_lsn()::text end as lsn,
  (select system_identifier::text from pg_control_system()) as system`;
/** Managed servers may forbid the function that reads the control file. */
const LOOK_SHORT = `select pg_is_in_recovery() as is_replica,
  case when pg_is_in_recovery() then pg_last_wal_replay_lsn()::text end as lsn, null as system`;

/**
 * One statement, so that the connection that is asked is the one that answers: behind one address
 * there may be several replicas. A CASE evaluates nothing of a branch that is not taken, and
 * `call_as` is volatile, so that what it runs sees all that was replayed by then.
 */
const CALL_AS = `select is_fresh,
  case when is_fresh then mailer_api.call_as($1, $2, $3) end as answer,
  pg_last_wal_replay_lsn()::text as lsn
from (select coalesce(pg_is_in_recovery() and pg_last_wal_replay_lsn() >= $4::pg_lsn, false)
  as is_fresh offset 0) q`;

/** The read replica's pool: reads only, and only what is new enough. */
export function connectReplica(url: string): ReplicaConnection {
  const pool = openPool({
    connectionString: url,
    max: 8,
    connectionTimeoutMillis: deadlineMs,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    application_name: "taskforce-mailer reads",
  });
  let look = LOOK;
  let closing: Promise<void> | null = null;
  return {
    async look() {
      const ask = () => queryWithin<LookRow>(pool, deadlineMs, { text: look });
      const row = await ask().catch(async (error: unknown) => {
        if (look === LOOK_SHORT || !isForbidden(error)) throw error;
        look = LOOK_SHORT;
        return await ask();
      });
      const { is_replica = false, lsn = null, system = null } = row ?? {};
      return { isReplica: is_replica, lsn: lsn === null ? null : parseLsn(lsn), system };
    },
    async call({ fn, args, as, options, required }) {
      const text = callText(args, options);
      const values = [claimsText(as, options), fn, text, lsnText(required)];
      const callMs = deadlineFor(text, options, deadlineMs);
      const row = await spendCallBudget(() =>
        queryWithin<AnswerRow>(pool, callMs, { text: CALL_AS, values }),
      );
      if (row === null || !row.is_fresh || row.lsn === null) return null;
      return { answer: row.answer, lsn: parseLsn(row.lsn) };
    },
    close() {
      closing ??= pool.end();
      return closing;
    },
  };
}

/** 42501: no right; 0A000: not supported there. */
function isForbidden(error: unknown): boolean {
  return /^(42501|0A000)$/.test(sqlStateOf(error) ?? "");
}

interface LookRow {
  is_replica: boolean;
  lsn: string | null;
  system: string | null;
}

interface AnswerRow {
  is_fresh: boolean;
  answer: string | null;
  lsn: string | null;
}
