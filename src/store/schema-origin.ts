import type { MigrationSession } from "./migrate.ts";
import { MIGRATIONS, type Migration } from "./migrations.ts";

/** What `mailer.schema_version` answers: the newest migration, and of which files it was made. */
export interface SchemaOrigin {
  version: string;
  /** Null: made before there were digests. */
  digest: string | null;
}

/** The database holds a schema that this program's migrations do not lead on from. */
export class EarlierSchemaError extends Error {
  /** What the database holds. */
  readonly saw: string;
  /** The command that begins anew. */
  readonly command: string;

  constructor(saw: string, command: string) {
    super(
      `The database holds ${saw}, and no migration leads from it to this program's schema. Nothing was ` +
        `changed. Finish what is in it with the program that made it, or begin anew without it:\n  ${command}`,
    );
    this.name = "EarlierSchemaError";
    this.saw = saw;
    this.command = command;
  }
}

/** Versions of the 39 migrations that came before the first release. */
const BEFORE_RELEASES = /^202611240000\d\d$/;

/** The newest migration of a list, as its schema says of itself; null: of a list without versions. */
export function originOf(migrations: readonly Migration[]): SchemaOrigin | null {
  return originIn(migrations.at(-1)?.sql ?? "");
}

/**
 * Whether a schema of this origin is one of ours or a later release's. The digest tells apart two
 * schemas of one version, which there are until that version is released.
 */
export function isOurs(
  origin: SchemaOrigin,
  migrations: readonly Migration[] = MIGRATIONS,
): boolean {
  const newest = migrations.at(-1)?.version ?? "";
  if (origin.version > newest) return true;
  const ours = migrations.find(({ version }) => version === origin.version);
  return ours !== undefined && originIn(ours.sql)?.digest === origin.digest;
}

/** Words for `EarlierSchemaError.saw`. */
function originWords(origin: SchemaOrigin | null): string {
  if (origin === null)
    return "the schema mailer of another program, or of a very early one of ours";
  const { version, digest } = origin;
  if (BEFORE_RELEASES.test(version))
    return `the schema of an earlier program (migration ${version})`;
  return `an earlier schema of the migration ${version} (digest ${digest ?? "unknown"})`;
}

/** Throws `EarlierSchemaError` unless the database is empty or has a schema of ours. */
export async function refuseEarlierSchema(
  session: MigrationSession,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<void> {
  if (originOf(migrations) === null) return;
  const origin = await schemaOriginOf(session);
  if (origin === undefined) return;
  if (origin !== null && isOurs(origin, migrations)) return;
  throw earlierSchemaError(origin);
}

/** What the schema says of itself; null: it is not one of ours; undefined: there is none. */
export async function schemaOriginOf(
  session: MigrationSession,
): Promise<SchemaOrigin | null | undefined> {
  const [row] = await session.query(
    `select n.oid is not null as is_there, (
       select pg_get_function_sqlbody(p.oid) from pg_proc p
       where p.pronamespace = n.oid and p.proname = 'schema_version') as body
     from (select) one left join pg_namespace n on n.nspname = 'mailer'`,
  );
  return row?.is_there === true ? originIn(String(row.body ?? "")) : undefined;
}

/** For a database that is reached with psql or in a SQL editor. */
export function earlierSchemaError(origin: SchemaOrigin | null): EarlierSchemaError {
  return new EarlierSchemaError(originWords(origin), `psql "$DATABASE_URL" -c "${beginAnewSql}"`);
}

/** The text of the function is read and not its answer: whoever migrates need not be allowed to call it. */
function originIn(sql: string): SchemaOrigin | null {
  const answer = /\{"version":"(\d{14})"(?:,"digest":"(\w+)")?\}/.exec(sql);
  return answer?.[1] === undefined ? null : { version: answer[1], digest: answer[2] ?? null };
}

/** For psql or the SQL editor: both schemas, and what the ledger says of them. */
export const beginAnewSql =
  "drop schema if exists mailer, mailer_api cascade; " +
  "delete from supabase_migrations.schema_migrations where version like '202611240000%'" +
  ` or version in (${MIGRATIONS.map(({ version }) => `'${version}'`).join(", ")});`;
