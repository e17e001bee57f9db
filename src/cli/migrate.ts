import { parseArgs } from "node:util";
import { loadConfig } from "../config.ts";
import { MigrationRightsError, migrate, migrationStatus } from "../store/migrate.ts";
import { openPostgresSession } from "../store/postgres-session.ts";
import type { Command, CommandIo } from "./command.ts";
import { migrateUrlOf } from "./prepare-database.ts";

const usage = `Usage: taskforce-mailer migrate [--status] [--json]

Brings the schema of DATABASE_URL up to date; several at once do it one after the other. The
embedded database needs no migrate: it is brought up to date whenever it is opened.

  --status   shows every migration and whether the database has it; changes nothing
  --json     the same for programs`;

const withoutUrl = `migrate: SUPABASE_URL alone cannot change a schema. Either
  set DATABASE_URL to the project's connection string (Connect, Session pooler) and run it again,
  or run \`supabase db push\` in the checkout,
  or paste supabase/schema.sql into the project's SQL editor.
`;

export const migrateCommand: Command = {
  name: "migrate",
  summary: "bring the database's schema up to date",
  usage,
  run: runMigrate,
};

async function runMigrate(args: string[], io: CommandIo): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      status: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  const { database } = loadConfig(io.env);
  if (database.driver === "pglite") {
    const words = "The embedded database is brought up to date whenever it is opened.";
    io.stdout.write(values.json ? `${JSON.stringify({ embedded: true })}\n` : `${words}\n`);
    return 0;
  }
  const url = migrateUrlOf(database);
  if (url === null) {
    io.stderr.write(withoutUrl);
    return 1;
  }
  try {
    const session = await openPostgresSession(url);
    try {
      if (!values.status) await migrate(session);
      const states = await migrationStatus(session);
      const lines = states.map(
        ({ version, name, isApplied }) =>
          `${isApplied ? "applied" : "missing"}  ${version}_${name}\n`,
      );
      const json = states.map(({ version, name, isApplied }) => ({
        version,
        name,
        is_applied: isApplied,
      }));
      io.stdout.write(values.json ? `${JSON.stringify(json)}\n` : lines.join(""));
      return 0;
    } finally {
      await session.close();
    }
  } catch (error) {
    io.stderr.write(`migrate: ${wordsOf(error)}\n`);
    return 1;
  }
}

function wordsOf(error: unknown): string {
  if (error instanceof MigrationRightsError) return error.message;
  return error instanceof Error
    ? `${error.message || error.name}\nCheck DATABASE_URL and that the database runs.`
    : String(error);
}
