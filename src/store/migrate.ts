import { MIGRATIONS, type Migration } from "./migrations.ts";

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

/**
 * Applies what is missing, oldest first, each file in a transaction with its entry in the
 * ledger, and returns what it applied. Versions that are not ours are left alone: a Supabase
 * project keeps its own in the same table. Throws `MigrationRightsError` when the user lacks
 * the rights, and otherwise whatever the database said about the file it names.
 */
export async function migrate(
  session: MigrationSession,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<Migration[]> {
  await session.query("select pg_advisory_lock($1)", [MIGRATION_LOCK]);
  try {
    return await applyPending(session, migrations);
  } catch (error) {
    throw isLackOfRights(error) ? await rightsError(session, error) : error;
  } finally {
    // A session that broke has lost the lock with its connection.
    await session.query("select pg_advisory_unlock($1)", [MIGRATION_LOCK]).catch(() => {});
  }
}

/** Every migration of ours and whether the database has it; changes nothing. */
export async function migrationStatus(
  session: MigrationSession,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<MigrationState[]> {
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
): Promise<Migration[]> {
  const applied = await appliedVersions(session);
  const pending = migrations.filter(({ version }) => !applied.has(version));
  if (pending.length > 0 && !(await hasLedger(session))) await session.exec(LEDGER);
  for (const migration of pending) await apply(session, migration);
  if (pending.length > 0) await session.exec(RELOAD);
  return pending;
}

async function apply(session: MigrationSession, { version, name, sql }: Migration): Promise<void> {
  try {
    await session.exec("begin");
    await session.exec(sql);
    await session.query(
      `insert into supabase_migrations.schema_migrations (version, statements, name)
       values ($1, array[$2], $3)`,
      [version, sql, name],
    );
    await session.exec("commit");
  } catch (error) {
    await session.exec("rollback").catch(() => {});
    if (isLackOfRights(error)) throw error;
    throw new Error(`migration ${version}_${name} failed: ${wordsOf(error)}`, { cause: error });
  }
}

async function appliedVersions(session: MigrationSession): Promise<Set<unknown>> {
  if (!(await hasLedger(session))) return new Set();
  const rows = await session.query("select version from supabase_migrations.schema_migrations");
  return new Set(rows.map((row) => row.version));
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
