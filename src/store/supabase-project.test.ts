import { beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { schemaFiles, schemaText } from "../../scripts/schema.ts";
import { rejection } from "../testing/fixtures/rejection.ts";
import { dumpPostgres } from "../testing/servers/dump.ts";
import { migrateAt } from "../testing/servers/migrate-at.ts";
import {
  runOnce,
  type SharedPostgres,
  sharedPostgres,
} from "../testing/servers/postgres-server.ts";
import { createSupabaseRoles } from "../testing/servers/supabase-server.ts";
import { LEDGER, migrate } from "./migrate.ts";
import { MIGRATIONS } from "./migrations.ts";
import { openPostgresSession } from "./postgres-session.ts";

const folder = join(import.meta.dir, "../../supabase");
let server: SharedPostgres;

beforeAll(async () => {
  server = await sharedPostgres();
  await createSupabaseRoles(server.adminUrl);
}, 60_000);

function emptyDatabase(): Promise<string> {
  return server.createDatabase(`project_${crypto.randomUUID().slice(0, 8)}`);
}

/** What the database is like, grants, policies and owners included. */
async function shapeOf(url: string): Promise<string> {
  const dump = await dumpPostgres(url, "--schema-only");
  // A random word of newer versions of pg_dump, and which database it was.
  return dump.replaceAll(/^\\(un)?restrict .*$/gm, "");
}

function ledgerOf(url: string) {
  return runOnce(
    url,
    "select version, statements, name from supabase_migrations.schema_migrations order by version",
  );
}

describe("supabase/schemas", () => {
  test("makes the same database, file by file in the order of schema_paths, as the migrations", async () => {
    const [declared, migrated] = [await emptyDatabase(), await emptyDatabase()];
    const session = await openPostgresSession(declared);
    await session.exec("set check_function_bodies = off");
    for (const { sql } of await schemaFiles()) await session.exec(sql);
    await session.exec(await Bun.file(join(folder, "schemas/version.sql")).text());
    await session.exec(LEDGER);
    await session.close();
    await migrateAt(migrated);
    expect(await shapeOf(declared)).toBe(await shapeOf(migrated));
    const rights = "select name, roles from mailer.functions order by name";
    expect(await runOnce(declared, rights)).toEqual(await runOnce(migrated, rights));
  }, 60_000);

  test("holds bodies that PostgreSQL can read once everything is there", async () => {
    const url = await emptyDatabase();
    await migrateAt(url);
    const read = await runOnce(
      url,
      `select count(case l.lanname when 'sql' then fmgr_sql_validator(p.oid)::text
         when 'plpgsql' then plpgsql_validator(p.oid)::text end) as bodies
       from pg_proc p join pg_language l on l.oid = p.prolang
       where p.pronamespace in ('mailer'::regnamespace, 'mailer_api'::regnamespace)`,
    );
    expect(Number(read[0]?.bodies)).toBeGreaterThan(90);
  }, 60_000);

  test("has one function in each file of functions/, of the file's name and with its contract", async () => {
    for (const { path, sql } of await schemaFiles()) {
      if (!path.startsWith("schemas/functions/")) continue;
      const made = [
        ...sql.matchAll(/^create or replace (?:function|procedure|aggregate) \w+\.(\w+)/gm),
      ];
      expect(made.map(([, name]) => `schemas/functions/${name}.sql`)).toEqual([path]);
      expect(sql).toStartWith(`-- ${made[0]?.[1]}: `);
    }
  });
});

describe("supabase/schema.sql", () => {
  test("makes of an empty database what migrate does, ledger included, and migrate agrees", async () => {
    const [pasted, migrated] = [await emptyDatabase(), await emptyDatabase()];
    await runOnce(pasted, schemaText());
    await migrateAt(migrated);
    expect(await shapeOf(pasted)).toBe(await shapeOf(migrated));
    expect(await ledgerOf(pasted)).toEqual(await ledgerOf(migrated));
    expect(await migrateAt(pasted)).toEqual([]);
  }, 60_000);

  test("pasted twice changes nothing", async () => {
    const url = await emptyDatabase();
    await runOnce(url, schemaText());
    const before = [await shapeOf(url), await ledgerOf(url)];
    await runOnce(url, schemaText());
    expect([await shapeOf(url), await ledgerOf(url)]).toEqual(before);
  }, 60_000);

  test("over the schema of the release before applies what is missing only", async () => {
    const [older, migrated] = [await emptyDatabase(), await emptyDatabase()];
    const later = {
      version: "99999999999999",
      name: "later",
      sql: "create table mailer.later ();",
    };
    await migrateAt(older);
    await runOnce(older, schemaText([...MIGRATIONS, later]));
    await migrateAt(migrated, [...MIGRATIONS, later]);
    expect(await shapeOf(older)).toBe(await shapeOf(migrated));
    expect(await ledgerOf(older)).toEqual(await ledgerOf(migrated));
  }, 60_000);

  test("that fails half-way leaves nothing, and says what failed", async () => {
    const url = await emptyDatabase();
    const broken = { version: "99999999999999", name: "broken", sql: "select 1 / 0;" };
    const text = schemaText([...MIGRATIONS, broken]);
    expect(String(await rejection(runOnce(url, text)))).toMatch("division by zero");
    const [row] = await runOnce(url, "select to_regnamespace('mailer') is null as gone");
    expect(row).toEqual({ gone: true });
  });
});

describe("supabase db push", () => {
  test("leaves migrate and the SQL editor nothing to do", async () => {
    const url = await emptyDatabase();
    // As the CLI does it: its own table, each file's statements by themselves.
    await runOnce(url, LEDGER);
    for (const { version, name, sql } of MIGRATIONS) {
      const client = await openPostgresSession(url);
      await client.exec(sql);
      await client.query(
        "insert into supabase_migrations.schema_migrations values ($1, array['-- split', '…'], $2)",
        [version, name],
      );
      await client.close();
    }
    const before = await shapeOf(url);
    expect(await migrateAt(url)).toEqual([]);
    await runOnce(url, schemaText());
    expect(await shapeOf(url)).toBe(before);
  }, 60_000);
});

describe("the user of a project, who is no superuser", () => {
  // The PostgreSQL within PGlite is newer than the one tests start: since 16 the rights differ.
  test("may migrate with CREATEROLE alone, and then the service key may call", async () => {
    const { PGlite } = await import("@electric-sql/pglite");
    const pglite = await PGlite.create();
    try {
      await pglite.exec(
        `create role authenticated nologin noinherit;
         create role service_role nologin noinherit bypassrls;
         create role project login createrole;
         do $$ begin
           execute format('grant create on database %I to project', current_database());
         end $$;
         set session authorization project;`,
      );
      await migrate({
        exec: async (sql) => void (await pglite.exec(sql)),
        query: async (sql, params) =>
          (await pglite.query<Record<string, unknown>>(sql, params)).rows,
      });
      await pglite.exec("set session authorization postgres");
      await pglite.exec("set session authorization service_role");
      const claims = `'{"role":"ping","sub":"x"}'`;
      const { rows } = await pglite.query<{ at: string }>(
        `select mailer_api.call_as(${claims}, 'clock', '{}') as at`,
      );
      expect(rows[0]?.at).toMatch(/^"20\d\d-/);
    } finally {
      await pglite.close();
    }
  }, 60_000);
});

describe("supabase/config.toml", () => {
  test("is what the Supabase CLI understands, and exposes mailer_api", async () => {
    const text = await Bun.file(join(folder, "config.toml")).text();
    const config = Bun.TOML.parse(text) as Record<string, unknown>;
    const { App } = await import("@supabase/lite");
    expect(App.prototype.isValidConfig(config)).toBe(true);
    expect(config).toMatchObject({
      project_id: "taskforce-mailer",
      api: { schemas: ["public", "mailer_api"] },
      db: { major_version: 17 },
    });
  });
});
