import { MIGRATIONS, type Migration } from "./migrations.ts";
import { refuseEarlierSchema, schemaOriginOf } from "./schema-origin.ts";

/** One session of a database: everything runs on the same connection, in order. */
export interface MigrationSession {
  /** Runs one or more statements without parameters. */
  exec(sql: string): Promise<void>;
  query(sql: string, params?: unknown[]): Promise<Record<string, unknown>[]>;
}

export interface MigrationState {
  version: string;
  name: string;
  isApplied: boolean;
}

/** Spells `mail`; held by whoever migrates, so that servers starting together do it once. */
export const MIGRATION_LOCK = 0x6d61696c;

/** The Supabase CLI's own bookkeeping, so that its `migration list` and ours agree. */
export const LEDGER = `
  create schema if not exists supabase_migrations;
  create table if not exists supabase_migrations.schema_migrations (
    version text not null primary key, statements text[], name text
  );`;

/** PostgREST keeps a picture of the schema: Supabase renews it by itself, others need the word. */
export const RELOAD = "notify pgrst, 'reload schema'";

/** How long a migration waits for a lock of somebody else's, and how often it asks again. */
export interface MigrationPatience {
  /** Meanwhile everybody who comes later waits behind it; a call waits 3 s for a lock. */
  lockTimeoutMs: number;
  /** Between two tries, when the others have their turn. */
  pauseMs: number;
  /** After that many tries it gives up. */
  triesMax: number;
}

/** About five minutes: longer than a backup of a small database reads a table. */
const patient: MigrationPatience = { lockTimeoutMs: 1_000, pauseMs: 2_000, triesMax: 100 };

/**
 * Applies what is missing, oldest first, each file in a transaction with its entry in the
 * ledger, and returns what it applied. Versions that are not ours are left alone: a Supabase
 * project keeps its own in the same table. Throws `EarlierSchemaError`, before anything is changed,
 * when the database has a schema that no migration of ours leads on from, `MigrationRightsError` when
 * the user lacks the rights, and otherwise whatever the database said about the file it names.
 *
 * Nothing outlives a transaction, neither the lock nor a setting, so that it works behind a pooler
 * in transaction mode. A file that meets a lock gives up after `lockTimeoutMs` and is tried again:
 * a statement that waits for a table keeps everybody waiting who wants the table after it.
 */
export async function migrate(
  session: MigrationSession,
  migrations: readonly Migration[] = MIGRATIONS,
  patience: MigrationPatience = patient,
): Promise<Migration[]> {
  try {
    return await applyPending(session, migrations, patience);
  } catch (error) {
    throw isLackOfRights(error) ? await rightsError(session, error) : error;
  }
}

/**
 * Every migration of ours and whether the database has it; changes nothing. Throws
 * `EarlierSchemaError`, as `migrate` would.
 */
export async function migrationStatus(
  session: MigrationSession,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<MigrationState[]> {
  await refuseEarlierSchema(session, migrations);
  const applied = await appliedVersions(session);
  return migrations.map(({ version, name }) => ({
    version,
    name,
    isApplied: applied.has(version),
  }));
}

/** The user who migrates may not do all of it; `statements` are what an admin must run. */
export class MigrationRightsError extends Error {
  readonly statements: readonly string[];

  constructor(user: string, statements: readonly string[], cause: unknown) {
    super(
      `The database user ${user} lacks the rights to migrate. An admin of the database must run:\n` +
        statements.map((statement) => `  ${statement}`).join("\n"),
      { cause },
    );
    this.name = "MigrationRightsError";
    this.statements = statements;
  }
}

async function applyPending(
  session: MigrationSession,
  migrations: readonly Migration[],
  patience: MigrationPatience,
): Promise<Migration[]> {
  await refuseEarlierSchema(session, migrations);
  const applied = await appliedVersions(session);
  const pending = migrations.filter(({ version }) => !applied.has(version));
  if (pending.length > 0 && !(await hasLedger(session)))
    await locked(session, () => session.exec(LEDGER));
  const done: Migration[] = [];
  for (const migration of pending) {
    if (await applyPatiently(session, migration, patience)) done.push(migration);
  }
  if (pending.length > 0) await session.exec(RELOAD);
  return done;
}

/** True: applied now; false: another server was quicker. */
async function applyPatiently(
  session: MigrationSession,
  migration: Migration,
  { lockTimeoutMs, pauseMs, triesMax }: MigrationPatience,
): Promise<boolean> {
  for (let tries = 1; ; tries++) {
    try {
      return await locked(session, () => apply(session, migration, lockTimeoutMs));
    } catch (error) {
      if (isLackOfRights(error)) throw error;
      if (!isLockedOut(error)) throw failure(migration, wordsOf(error), error);
      if (tries >= triesMax) throw failure(migration, lockedWords(triesMax), error);
      await Bun.sleep(pauseMs);
    }
  }
}

function failure({ version, name }: Migration, words: string, cause: unknown): Error {
  return new Error(`migration ${version}_${name} failed: ${words}`, { cause });
}

function lockedWords(tries: number): string {
  return (
    `another transaction held a lock that it needs in each of ${tries} tries; ` +
    "end it (pg_stat_activity shows the oldest in xact_start), then migrate again"
  );
}

/** Runs `work` in a transaction that no other server's migration runs beside. */
async function locked<T>(session: MigrationSession, work: () => Promise<T>): Promise<T> {
  await session.exec("begin");
  try {
    // Building an index may take long, and so may another server's migrations: nobody but they
    // wait for this lock.
    await session.exec("set local statement_timeout = 0");
    await session.exec("set local lock_timeout = 0");
    await session.query("select pg_advisory_xact_lock($1)", [MIGRATION_LOCK]);
    const result = await work();
    await session.exec("commit");
    return result;
  } catch (error) {
    await session.exec("rollback").catch(() => {});
    throw error;
  }
}

async function apply(
  session: MigrationSession,
  { version, name, sql }: Migration,
  lockTimeoutMs: number,
): Promise<boolean> {
  const [known] = await session.query(
    "select from supabase_migrations.schema_migrations where version = $1",
    [version],
  );
  if (known) return false;
  await session.exec(`set local lock_timeout = ${lockTimeoutMs}`);
  await session.exec(sql);
  await session.query(
    `insert into supabase_migrations.schema_migrations (version, statements, name)
     values ($1, array[$2], $3)`,
    [version, sql, name],
  );
  return true;
}

/** A user who may not read the ledger sees the version that the schema says of itself. */
async function appliedVersions(session: MigrationSession): Promise<Set<unknown>> {
  if (!(await mayReadLedger(session))) {
    const newest = (await schemaOriginOf(session))?.version ?? "";
    return new Set(MIGRATIONS.map(({ version }) => version).filter((one) => one <= newest));
  }
  if (!(await hasLedger(session))) return new Set();
  const rows = await session.query("select version from supabase_migrations.schema_migrations");
  return new Set(rows.map((row) => row.version));
}

/** Also where there is none yet. */
async function mayReadLedger(session: MigrationSession): Promise<boolean> {
  const [row] = await session.query(
    `select coalesce(bool_and(has_schema_privilege(n.oid, 'usage')), true) as may
     from pg_namespace n where n.nspname = 'supabase_migrations'`,
  );
  return row?.may === true;
}

async function hasLedger(session: MigrationSession): Promise<boolean> {
  const rows = await session.query(
    "select to_regclass('supabase_migrations.schema_migrations') is not null as found",
  );
  return rows[0]?.found === true;
}

/** 42501: insufficient_privilege, for creating roles, schemas or giving objects to a role. */
function isLackOfRights(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "42501";
}

/** 55P03: lock_timeout; 40P01: it was one of two that waited for each other. */
function isLockedOut(error: unknown): boolean {
  return (
    error instanceof Error && "code" in error && (error.code === "55P03" || error.code === "40P01")
  );
}

/**
 * CREATEROLE is what it takes to make the owning roles (NOLOGIN, NOBYPASSRLS) and to be a
 * member of them, without which PostgreSQL 16 and later let nobody give them a function.
 */
async function rightsError(session: MigrationSession, cause: unknown): Promise<Error> {
  const [row] = await session.query(
    `select current_user::text as name, quote_ident(current_user) as "user",
            quote_ident(current_database()) as "database"`,
  );
  const statements = [
    `alter role ${row?.user} createrole;`,
    `grant create on database ${row?.database} to ${row?.user};`,
  ];
  return new MigrationRightsError(String(row?.name), statements, cause);
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
