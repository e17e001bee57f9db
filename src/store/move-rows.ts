import type { MigrationSession } from "./migrate.ts";

/**
 * What belongs to the emails and to those who send them, in an order that foreign keys allow. Each
 * table of the schema is in one of the two lists; a test compares.
 */
export const MOVED_TABLES = [
  ...["emails", "contents", "recipients", "attempts", "idempotency_keys", "email_counts"],
  ...["journal", "seals", "journal_heads", "sealer", "checkpoints"],
  ...["journal_anchors", "journal_start"],
  ...["api_keys", "dropped_signing_keys", "ended_tokens"],
  ...["webhooks", "webhook_deliveries", "pauses", "minutes"],
] as const;

/**
 * What belongs to a server and its processes. `settings` is moved row by row; `journal_gaps` are of
 * transactions under way, of which a database at rest has none; sessions end, and people sign in again.
 */
export const LEFT_TABLES = [
  ...["functions", "settings", "journal_gaps", "sessions", "incidents", "maintenance"],
  ...["probe_requests", "regions", "timelines", "transports", "workers"],
] as const;

/** Tables whose one row the migration made. */
const isOneRow = (table: string) => table === "sealer" || table === "journal_start";

/** Rows of `settings` that go along; where a database lies is for each to say. */
const movedSettings = ["encryption_key", "restored"] as const;

/** In `settings` of the database that was moved to: which move it was, as text. */
const moveIdName = "moved_from";

export interface MoveRowsOptions {
  /** Names this move, so that another run knows that it has been done. */
  moveId: string;
  /** Emails that are not at rest belong to it from then on. */
  region: string;
  /** Told how many rows are there, of how many. */
  onProgress: (rows: number, allRows: number) => void;
}

export interface MovedRows {
  /** Rows of each table. */
  tables: Record<string, number>;
  /** Emails that are still to be sent. */
  pending: number;
}

/** The target holds something else already, or somebody writes to it; the message is for a terminal. */
export class MoveRefusedError extends Error {
  override name = "MoveRefusedError";
}

/**
 * Copies all rows from one database to an empty one of the same schema, in one transaction: all of
 * them are there afterwards, compared by a checksum of each table, or none is. Both sessions are the
 * caller's, who owns the target's tables, and nobody else may use the source meanwhile. Null: this
 * move was committed there before. Throws `MoveRefusedError`.
 */
export async function moveRows(
  source: MigrationSession,
  target: MigrationSession,
  { moveId, region, onProgress }: MoveRowsOptions,
): Promise<MovedRows | null> {
  await assertAtRest(source);
  await source.exec("begin transaction isolation level repeatable read read only");
  await target.exec("begin");
  try {
    for (const session of [source, target]) await session.exec(sameTexts);
    await target.exec("set local statement_timeout = 0; set local lock_timeout = '10s'");
    await openWalls(target, ["settings"]);
    if (await wasMoved(target, moveId)) {
      await target.exec("rollback");
      return null;
    }
    await openWalls(target, ["workers", ...MOVED_TABLES]);
    await assertEmpty(target);
    const tables = await moveTables(source, target, onProgress);
    await moveSettings(source, target, moveId);
    await continueIds(source, target);
    const pending = await takeHome(target, region);
    await closeWalls(target, ["settings", "workers", ...MOVED_TABLES]);
    await target.exec("commit");
    return { tables, pending };
  } catch (error) {
    await target.exec("rollback").catch(() => undefined);
    throw isLockedOut(error) ? new MoveRefusedError(lockedWords) : error;
  } finally {
    await source.exec("rollback").catch(() => undefined);
  }
}

/** Whether the move of this id has been committed there; for an owner of the tables. */
export async function hasMoved(target: MigrationSession, moveId: string): Promise<boolean> {
  await target.exec("begin; set local lock_timeout = '10s'");
  try {
    await openWalls(target, ["settings"]);
    return await wasMoved(target, moveId);
  } catch (error) {
    throw isLockedOut(error) ? new MoveRefusedError(lockedWords) : error;
  } finally {
    await target.exec("rollback");
  }
}

async function wasMoved(target: MigrationSession, moveId: string): Promise<boolean> {
  const rows = await target.query("select from mailer.settings where name = $1 and value = $2", [
    moveIdName,
    moveId,
  ]);
  return rows.length > 0;
}

/**
 * Row-level security holds the tables' owner as well, and triggers refuse what no call would write. Both
 * are put up again before the transaction ends, so nobody ever sees them open.
 */
async function openWalls(target: MigrationSession, tables: readonly string[]): Promise<void> {
  for (const table of tables) {
    await target.exec(
      `alter table mailer.${table} no force row level security; ` +
        `alter table mailer.${table} disable trigger user`,
    );
  }
}

async function closeWalls(target: MigrationSession, tables: readonly string[]): Promise<void> {
  for (const table of tables) {
    await target.exec(
      `alter table mailer.${table} enable trigger user; ` +
        `alter table mailer.${table} force row level security`,
    );
  }
}

async function moveTables(
  source: MigrationSession,
  target: MigrationSession,
  onProgress: MoveRowsOptions["onProgress"],
): Promise<Record<string, number>> {
  let all = 0;
  for (const table of MOVED_TABLES) all += await countOf(source, table);
  const tables: Record<string, number> = {};
  let done = 0;
  for (const table of MOVED_TABLES) {
    tables[table] = await moveTable({ source, target, table }, (count) => {
      done += count;
      onProgress(done, all);
    });
  }
  return tables;
}

/** 55P03: lock_timeout. */
function isLockedOut(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "55P03";
}

const lockedWords =
  "another session uses the target's tables (pg_stat_activity shows it): end it, and run this again. " +
  "Nothing was moved.";

/** Rows are compared as text, which these settings shape. */
const sameTexts =
  "set local timezone = 'UTC'; set local datestyle = 'ISO, MDY'; set local bytea_output = 'hex'; " +
  "set local intervalstyle = 'postgres'; set local extra_float_digits = 1";

/** Only its own server can say what became of an email that was being sent. */
async function assertAtRest(source: MigrationSession): Promise<void> {
  const [row] = await source.query(
    `select (select count(*)::int from mailer.emails where state = 'sending') as sending,
      (select count(*)::int from mailer.journal j
        where not exists (select from mailer.seals s where s.entry_id = j.id)) as unsealed`,
  );
  const { sending = 0, unsealed = 0 } = row ?? {};
  if (sending === 0 && unsealed === 0) return;
  throw new MoveRefusedError(
    `its server was killed while it worked (${sending} emails were being sent, ${unsealed} entries of ` +
      "the journal have no seal): start it once more on that folder, wait until `doctor` is content, " +
      "stop it, and run this again. Nothing was moved.",
  );
}

async function assertEmpty(target: MigrationSession): Promise<void> {
  const [row] = await target.query(
    `select (select count(*)::int from mailer.workers
        where stopped_at is null and beat_at > clock_timestamp() - interval '15 seconds') as alive`,
  );
  if (row?.alive !== 0) {
    throw new MoveRefusedError(
      `${row?.alive} processes use the target: stop them, and start them afterwards. Nothing was moved.`,
    );
  }
  const filled: string[] = [];
  for (const table of MOVED_TABLES) {
    const count = isOneRow(table) ? 0 : await countOf(target, table);
    if (count > 0) filled.push(`${count} rows in ${table}`);
  }
  if (filled.length === 0) return;
  throw new MoveRefusedError(
    `the target is in use already (${filled.join(", ")}), and two histories cannot be joined: move into ` +
      "a new database. Nothing was moved.",
  );
}

interface TableMove {
  source: MigrationSession;
  target: MigrationSession;
  table: string;
}

async function moveTable(move: TableMove, onRows: (count: number) => void): Promise<number> {
  const { source, target, table } = move;
  if (isOneRow(table)) await target.exec(`delete from mailer.${table}`);
  const columns = await columnsOf(source, table);
  for await (const rows of batchesOf(source, table)) {
    await target.query(
      `insert into mailer.${table} (${columns}) overriding system value
       select ${columns} from json_populate_recordset(null::mailer.${table}, $1::json)`,
      [`[${rows.join(",")}]`],
    );
    onRows(rows.length);
  }
  const [was, is] = [
    await digestOf(source, table, columns),
    await digestOf(target, table, columns),
  ];
  if (was.digest !== is.digest) {
    throw new Error(`${table} did not arrive as it was sent; nothing was moved`);
  }
  return was.count;
}

/** By name, since a database that was upgraded may have them in another order. */
async function columnsOf(session: MigrationSession, table: string): Promise<string> {
  const [row] = await session.query(
    `select string_agg(quote_ident(a.attname), ', ' order by a.attname) as columns
     from pg_attribute a
     where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped`,
    [`mailer.${table}`],
  );
  return String(row?.columns);
}

/** A message of 25 MB is 50 MB as JSON; a batch holds one such, or many small ones. */
const batchBytes = 16 * 1024 * 1024;
const batchRows = 500;

async function* batchesOf(source: MigrationSession, table: string): AsyncGenerator<string[]> {
  const at = table === "contents" ? await rowsAtOnce(source) : batchRows;
  // A key that another one made comes after it.
  const order = table === "api_keys" ? "order by t.created_at, t.id" : "";
  await source.exec(
    `declare moved no scroll cursor for select row_to_json(t)::text as row from mailer.${table} t ${order}`,
  );
  for (;;) {
    const rows = await source.query(`fetch forward ${at} from moved`);
    if (rows.length > 0) yield rows.map(({ row }) => String(row));
    if (rows.length < at) break;
  }
  await source.exec("close moved");
}

async function rowsAtOnce(source: MigrationSession): Promise<number> {
  const [row] = await source.query(
    "select coalesce(max(octet_length(message)), 0)::int as bytes from mailer.contents",
  );
  const fit = Math.floor(batchBytes / (2 * Number(row?.bytes) + 1));
  return Math.min(Math.max(fit, 1), batchRows);
}

async function digestOf(session: MigrationSession, table: string, columns: string) {
  const [row] = await session.query(
    `select count(*)::int as count,
       count(*) || ':' || coalesce(sum(hashtextextended(row(${columns})::text, 0)), 0) as digest
     from mailer.${table}`,
  );
  return { count: Number(row?.count), digest: String(row?.digest) };
}

async function countOf(session: MigrationSession, table: string): Promise<number> {
  const [row] = await session.query(`select count(*)::int as count from mailer.${table}`);
  return Number(row?.count);
}

async function moveSettings(
  source: MigrationSession,
  target: MigrationSession,
  moveId: string,
): Promise<void> {
  const rows = await source.query("select name, value from mailer.settings where name = any ($1)", [
    movedSettings,
  ]);
  for (const { name, value } of [...rows, { name: moveIdName, value: moveId }]) {
    await target.query(
      `insert into mailer.settings (name, value) values ($1, $2)
       on conflict (name) do update set value = excluded.value`,
      [name, value],
    );
  }
}

/** The journal's ids go on above all that the source has given, of failed transactions, too. */
async function continueIds(source: MigrationSession, target: MigrationSession): Promise<void> {
  const [row] = await source.query(
    `select greatest((select max(id) from mailer.journal), (select sealed_to from mailer.sealer), 1)::text
       as newest`,
  );
  await target.query("select setval(pg_get_serial_sequence('mailer.journal', 'id'), $1::bigint)", [
    row?.newest,
  ]);
}

/**
 * An email of a region that nobody serves would wait until its region counts as silent. A pause of the
 * region goes with its emails.
 */
async function takeHome(target: MigrationSession, region: string): Promise<number> {
  await target.query(
    `update mailer.emails set region = $1
     where state in ('pending', 'held', 'failed', 'uncertain', 'partially_sent') and region <> $1`,
    [region],
  );
  await target.query(
    `insert into mailer.pauses (kind, name, paused_at, paused_by, reason)
     select p.kind, $1, p.paused_at, p.paused_by, p.reason from mailer.pauses p
     where p.kind = 'region' order by p.paused_at limit 1 on conflict do nothing`,
    [region],
  );
  await target.query("delete from mailer.pauses where kind = 'region' and name <> $1", [region]);
  const [row] = await target.query(
    "select count(*)::int as count from mailer.emails where state = 'pending'",
  );
  return Number(row?.count);
}
