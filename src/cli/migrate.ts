import { parseArgs } from "node:util";
import { type Config, loadConfig } from "../config.ts";
import {
  MigrationRightsError,
  type MigrationSession,
  migrate,
  migrationStatus,
} from "../store/migrate.ts";
import { migrateUrlOf } from "../store/migrate-url.ts";
import { MoveRefusedError } from "../store/move-rows.ts";
import { openPostgresSession } from "../store/postgres-session.ts";
import { ensureRunTimeUser } from "../store/run-time-user.ts";
import { EarlierSchemaError } from "../store/schema-origin.ts";
import { createProgress } from "./backup/progress.ts";
import { type Command, type CommandIo, UsageError } from "./command.ts";
import { abandonMove, type MoveReport, moveFolder } from "./migrate/move-folder.ts";

const usage = `Usage: taskforce-mailer migrate [--status] [--json]
       taskforce-mailer migrate --from <DATA_DIR> [--abandon] [--json]

Brings the schema of DATABASE_URL up to date; several at once do it one after the other. With
POSTGRES_RUN_TIME_USER it also makes that user, whom everything else logs in as. The embedded
database needs no migrate: it is brought up to date whenever it is opened.

With --from it then moves an embedded database there, all of it or nothing: emails and their history,
API keys, webhooks, kept answers. The server of that folder must be stopped, the database of
DATABASE_URL must hold nothing yet, and ENCRYPTION_KEY must be the folder's (encryption_key in its
secrets.json). No server starts on the folder afterwards. Killed half-way, run it again.

  --status     shows every migration and whether the database has it; changes nothing
  --from <dir> moves the embedded database of that DATA_DIR
  --abandon    a move was begun and is not wanted: servers may start on the folder again, unless
               the target has all of it already
  --json       the same for programs

Examples:
  taskforce-mailer migrate --status
  DATABASE_URL=postgres://… taskforce-mailer migrate
  DATABASE_URL=postgres://… taskforce-mailer migrate --from ./data`;

const withoutUrl = `migrate: SUPABASE_URL alone cannot change a schema. Either
  set DATABASE_URL to the project's connection string (Connect, Session pooler) and run it again,
  or run \`supabase db push\` in the checkout,
  or paste supabase/schema.sql into the project's SQL editor.
`;

const withoutPassword =
  "migrate: POSTGRES_PASSWORD is not set, and POSTGRES_RUN_TIME_USER may not change the schema.\n";

export const migrateCommand: Command = {
  name: "migrate",
  summary: "bring the database's schema up to date",
  usage,
  run: runMigrate,
};

async function runMigrate(args: string[], io: CommandIo): Promise<number> {
  const values = valuesOf(args);
  const config = loadConfig(io.env);
  const { database } = config;
  const isMoving = values.from !== undefined;
  if (database.driver === "pglite" && isMoving) {
    io.stderr.write("migrate: --from needs DATABASE_URL, the database to move to\n");
    return 1;
  }
  if (database.driver === "pglite") {
    const words = "The embedded database is brought up to date whenever it is opened.";
    io.stdout.write(values.json ? `${JSON.stringify({ embedded: true })}\n` : `${words}\n`);
    return 0;
  }
  const url = migrateUrlOf(database);
  if (url === null) {
    io.stderr.write(database.driver === "postgres" ? withoutPassword : withoutUrl);
    return 1;
  }
  try {
    const session = await openPostgresSession(url);
    try {
      if (!values.status) {
        await migrate(session);
        const { runTimeUser = null } = database.driver === "postgres" ? database : {};
        if (runTimeUser !== null) await ensureRunTimeUser(session, runTimeUser);
      }
      if (values.from === undefined) await showStates(session, io, values);
      else await move({ config, url, session }, io, { ...values, from: values.from });
      return 0;
    } finally {
      await session.close();
    }
  } catch (error) {
    io.stderr.write(`migrate: ${wordsOf(error)}\n`);
    return 1;
  }
}

interface MigrateValues {
  status: boolean;
  json: boolean;
  from?: string | undefined;
  abandon: boolean;
}

function valuesOf(args: string[]): MigrateValues {
  const flag = { type: "boolean", default: false } as const;
  const { values } = parseArgs({
    args,
    options: { status: flag, json: flag, from: { type: "string" }, abandon: flag },
  });
  if (values.from !== undefined && values.status) {
    throw new UsageError("--status changes nothing, and --from does");
  }
  if (values.from === undefined && values.abandon) {
    throw new UsageError("--abandon needs --from, the folder of the move");
  }
  return values;
}

async function showStates(
  session: MigrationSession,
  { stdout }: CommandIo,
  { json }: MigrateValues,
): Promise<void> {
  const states = await migrationStatus(session);
  const lines = states.map(
    ({ version, name, isApplied }) => `${isApplied ? "applied" : "missing"}  ${version}_${name}\n`,
  );
  const rows = states.map(({ version, name, isApplied }) => ({
    version,
    name,
    is_applied: isApplied,
  }));
  stdout.write(json ? `${JSON.stringify(rows)}\n` : lines.join(""));
}

interface Target {
  config: Config;
  url: string;
  session: MigrationSession;
}

async function move(
  { config, url, session }: Target,
  io: CommandIo,
  { from, abandon, json }: MigrateValues & { from: string },
): Promise<void> {
  if (abandon) {
    const folder = await abandonMove(url, session, from);
    const words = `Servers may start on ${folder} again; nothing was moved.`;
    io.stdout.write(`${json ? JSON.stringify({ abandoned: folder }) : words}\n`);
    return;
  }
  const progress = createProgress("moved", io, "rows");
  try {
    const report = await moveFolder(config, url, session, { from, onProgress: progress.show });
    progress.end();
    io.stdout.write(`${json ? JSON.stringify(report) : wordsOfMove(report)}\n`);
  } finally {
    progress.end();
  }
}

function wordsOfMove({ from, to, was_done, tables, pending, keeps_tokens }: MoveReport): string {
  const { emails = 0, api_keys = 0, webhooks = 0, journal = 0 } = tables;
  const what =
    `${emails} emails (${pending} pending), ${journal} entries of the journal, ${api_keys} API keys, ` +
    `${webhooks} webhooks`;
  return [
    was_done
      ? `${to} has all of ${from} since an earlier run.`
      : `${to} has all of ${from}: ${what}.`,
    "Start the servers with this DATABASE_URL. Until one runs, nothing is sent.",
    tokenWords(keeps_tokens),
  ].join("\n");
}

function tokenWords(areKept: boolean | null): string {
  if (areKept === null)
    return "Tokens stay valid where JWT_SECRET stays the same; API keys do anyway.";
  return areKept
    ? "Tokens and API keys stay valid."
    : "JWT_SECRET is another one than in secrets.json there, so tokens made before are refused; API keys stay valid.";
}

function wordsOf(error: unknown): string {
  const isForPeople = [MigrationRightsError, EarlierSchemaError, MoveRefusedError];
  if (isForPeople.some((kind) => error instanceof kind) && error instanceof Error)
    return error.message;
  return error instanceof Error
    ? `${error.message || error.name}\nCheck DATABASE_URL and that the database runs.`
    : String(error);
}
