import pg from "pg";
import { spendCallBudget } from "./call-budget.ts";
import { isUndone, toCallError, unansweredError } from "./call-error.ts";
import {
  type CallOptions,
  type Claims,
  callText,
  claimsText,
  type Database,
  deadlineFor,
  parseAnswer,
} from "./database.ts";
import { openPool } from "./open-pool.ts";

export interface PostgresDatabaseOptions {
  /** `postgres://…`; also of a pooler, in transaction mode too. */
  url: string;
  /** Connections at most. Default 10. */
  poolSize?: number;
  /** Milliseconds one call may take, waiting for a connection included. Default 4000. */
  deadlineMs?: number;
}

export interface PostgresDatabase extends Database {
  readonly driver: "postgres";
  /** For BullMQ's own pool, when the queue lives in the same database. */
  readonly url: string;
}

/** A connection that is not there after 3 s is not coming; HTTP must have answered by 5 s. */
const CONNECT_TIMEOUT_MS_MAX = 3_000;

/**
 * Not named: behind a pooler in transaction mode the next call of this connection may reach a
 * session that has not prepared it (26000), or one where somebody else has (42P05).
 */
const CALL_AS = { text: "select mailer_api.call_as($1, $2, $3) as answer" };

/** The `Database` over a real PostgreSQL; a server that restarts is met by a new connection. */
export function createPostgresDatabase(options: PostgresDatabaseOptions): PostgresDatabase {
  const { url, poolSize = 10, deadlineMs = 4_000 } = options;
  const pool = openPool({
    connectionString: url,
    max: poolSize,
    connectionTimeoutMillis: Math.min(CONNECT_TIMEOUT_MS_MAX, deadlineMs),
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    // The one parameter of the start that poolers know; whatever else a call needs it sets itself.
    application_name: "taskforce-mailer",
  });
  let closing: Promise<void> | null = null;

  return {
    driver: "postgres",
    url,
    async rpc(fn: string, args: unknown, as: Claims, options?: CallOptions) {
      const text = callText(args, options);
      const values = [claimsText(as, options), fn, text];
      const callMs = deadlineFor(text, options, deadlineMs);
      const call = (ms: number) => queryWithin<Answer>(pool, ms, { ...CALL_AS, values });
      const answer = (await spendCallBudget(() => againOnce(call, callMs)))?.answer ?? null;
      return answer === null ? null : parseAnswer(answer, options);
    },
    async ping(): Promise<void> {
      await queryWithin(pool, deadlineMs, { text: "select 'pong' as answer" });
    },
    close(): Promise<void> {
      closing ??= pool.end();
      return closing;
    },
  };
}

/**
 * An error the server answered with leaves the connection usable, unless the server is going
 * (57P, 08) or has become read-only (25006): then the next call shall look for its successor.
 */
function isConnectionSpent(error: unknown): boolean {
  return !(error instanceof pg.DatabaseError) || /^(57P|08|25006)/.test(error.code ?? "");
}

/** What surely changed nothing and is over at once is tried a second time, within the deadline. */
async function againOnce<T>(call: (ms: number) => Promise<T>, deadlineMs: number): Promise<T> {
  const startedAt = performance.now();
  try {
    return await call(deadlineMs);
  } catch (error) {
    const leftMs = deadlineMs - (performance.now() - startedAt);
    if (!isUndone(error) || leftMs <= 0) throw error;
    return await call(leftMs);
  }
}

interface Answer {
  answer: string | null;
}

/** Runs one statement and returns its first row, or throws an `AppError` by the deadline. */
export async function queryWithin<Row extends pg.QueryResultRow>(
  pool: pg.Pool,
  deadlineMs: number,
  query: pg.QueryConfig,
): Promise<Row | null> {
  const startedAt = performance.now();
  let client: pg.PoolClient;
  try {
    client = await pool.connect();
  } catch (error) {
    throw toCallError(error);
  }
  const remainingMs = Math.max(1, deadlineMs - (performance.now() - startedAt));
  return runOn<Row>(client, remainingMs, query);
}

/**
 * A connection whose call ran into the deadline, or that broke, is destroyed and never goes
 * back to the pool: its answer may still arrive and would be taken for the next call's.
 */
async function runOn<Row extends pg.QueryResultRow>(
  client: pg.PoolClient,
  remainingMs: number,
  query: pg.QueryConfig,
): Promise<Row | null> {
  const deadline = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    deadline.reject(unansweredError(new Error("no answer from PostgreSQL in time")));
  }, remainingMs);
  try {
    const result = await Promise.race([client.query<Row>(query), deadline.promise]);
    client.release();
    return result.rows[0] ?? null;
  } catch (error) {
    client.release(isConnectionSpent(error));
    throw toCallError(error);
  } finally {
    clearTimeout(timer);
  }
}
