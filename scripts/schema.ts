#!/usr/bin/env bun
import { LEDGER, MIGRATION_LOCK, RELOAD } from "../src/store/migrate.ts";
/**
 * Writes supabase/schema.sql: all migrations in one text, to be pasted into an SQL editor.
 * `bun scripts/schema.ts` prints it; with `--write` puts it where it belongs.
 */
import { MIGRATIONS, type Migration } from "../src/store/migrations.ts";

const head = `-- Generated from supabase/migrations by \`bun scripts/schema.ts --write\`: change those instead.
--
-- Paste it into the SQL editor of a Supabase project, or run it with psql. It does and records
-- what \`taskforce-mailer migrate\` and \`supabase db push\` do: whatever of it a database has
-- already is left alone, so running it twice, or a newer one over an older one, is safe. All of
-- it happens, or nothing.
--
-- Afterwards expose the schema mailer_api: Project Settings, Data API, Exposed schemas.
`;

/** Quotes the migrations, which use $$ themselves. */
const quote = "$taskforce_mailer$";

/** The whole text of supabase/schema.sql. */
export function schemaText(migrations: readonly Migration[] = MIGRATIONS): string {
  return `${head}
begin;

-- Whoever migrates at the same moment waits.
select pg_advisory_xact_lock(${MIGRATION_LOCK});

${unindented(LEDGER)}

${migrations.map(migrationText).join("\n")}
${RELOAD};

commit;
`;
}

/** Runs and records one migration unless it is recorded. */
function migrationText({ version, name, sql }: Migration): string {
  if (sql.includes(quote)) throw new Error(`${version}_${name} may not contain ${quote}`);
  return `-- ${version}_${name}
do $migration$
declare
  v_sql text := ${quote}${sql}${quote};
begin
  if exists (
    select from supabase_migrations.schema_migrations where version = '${version}'
  ) then
    return;
  end if;
  execute v_sql;
  insert into supabase_migrations.schema_migrations (version, statements, name)
  values ('${version}', array[v_sql], '${name}');
end
$migration$;
`;
}

function unindented(text: string): string {
  return text.trim().replaceAll(/^ {2}/gm, "");
}

if (import.meta.main) {
  if (process.argv.includes("--write")) {
    await Bun.write(`${import.meta.dirname}/../supabase/schema.sql`, schemaText());
  } else {
    process.stdout.write(schemaText());
  }
}
