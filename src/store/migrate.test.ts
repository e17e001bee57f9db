import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { differing, RELEASED, schemaText } from "../../scripts/schema.ts";
import { EARLIER_SCHEMA } from "../testing/fixtures/earlier-schema.ts";
import { rejection } from "../testing/fixtures/rejection.ts";
import { dumpPostgres } from "../testing/servers/dump.ts";
import { migrateAt } from "../testing/servers/migrate-at.ts";
import {
  runOnce,
  type SharedPostgres,
  sharedPostgres,
} from "../testing/servers/postgres-server.ts";
import { MigrationRightsError, migrate, migrationStatus } from "./migrate.ts";
import { MIGRATIONS, type Migration } from "./migrations.ts";
import { openPostgresSession } from "./postgres-session.ts";
import { beginAnewSql, EarlierSchemaError } from "./schema-origin.ts";

const first: Migration = { version: "1", name: "first", sql: "create table first (n int);" };
const second: Migration = {
  version: "2",
  name: "second",
  sql: "insert into first values (1); create function two() returns int language sql as $$ select 2; $$;",
};
const broken: Migration = {
  version: "3",
  name: "broken",
  sql: "create table half_done (n int); select 1 / 0;",
};

let server: SharedPostgres;
const databases: string[] = [];

async function emptyDatabase(): Promise<string> {
  const name = `migrate_${crypto.randomUUID().slice(0, 8)}`;
  databases.push(name);
  return server.createDatabase(name);
}

test("the program may call its functions where default privileges give public none", async () => {
  const url = await emptyDatabase();
  await runOnce(url, "alter default privileges revoke execute on functions from public");
  await migrateAt(url);
  const closed = `select p.proname from pg_proc p where p.pronamespace = 'mailer'::regnamespace
    and not has_function_privilege('mailer_service', p.oid, 'execute')`;
  expect(await runOnce(url, closed)).toEqual([]);
});

/** Without the random word that newer versions of pg_dump write. */
async function dumpOf(url: string): Promise<string> {
  return (await dumpPostgres(url)).replaceAll(/^\\(un)?restrict .*$/gm, "");
}

function digestOf(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text).digest("hex");
}

beforeAll(async () => {
  server = await sharedPostgres();
}, 60_000);

afterAll(async () => {
  for (const name of databases) await runOnce(server.adminUrl, `drop database ${name}`);
}, 60_000);

describe("the embedded list", () => {
  test("is the folder supabase/migrations, in the order of its files' names", async () => {
    const folder = join(import.meta.dir, "../../supabase/migrations");
    const files = readdirSync(folder).filter((file) => file.endsWith(".sql"));
    expect(MIGRATIONS.map(({ version, name }) => `${version}_${name}.sql`)).toEqual(files.sort());
    for (const { version, name, sql } of MIGRATIONS) {
      expect(sql).toBe(await Bun.file(join(folder, `${version}_${name}.sql`)).text());
    }
  });

  test("is what supabase/schemas comes to (bun scripts/schema.ts --write)", async () => {
    expect(await differing()).toEqual([]);
  });

  test("leaves every file that a release has brought to a database as it was", () => {
    const digests = MIGRATIONS.map(({ version, sql }) => [version, digestOf(sql)]);
    expect(Object.fromEntries(digests)).toMatchObject(RELEASED);
  });

  test("applies to an empty database, and a second time changes nothing", async () => {
    const url = await emptyDatabase();
    expect(await migrateAt(url)).toHaveLength(MIGRATIONS.length);
    expect(await migrateAt(url)).toEqual([]);
  }, 60_000);
});

describe("migrate", () => {
  test("applies what is missing, in order, and records it as the Supabase CLI does", async () => {
    const url = await emptyDatabase();
    expect(await migrateAt(url, [first])).toEqual([first]);
    expect(await migrateAt(url, [first, second])).toEqual([second]);
    const rows = await runOnce(url, "select * from supabase_migrations.schema_migrations");
    expect(rows).toEqual([
      { version: "1", statements: [first.sql], name: "first" },
      { version: "2", statements: [second.sql], name: "second" },
    ]);
  });

  test("leaves no trace of a file that fails, keeps those before it, and names it", async () => {
    const url = await emptyDatabase();
    expect(String(await rejection(migrateAt(url, [first, broken])))).toMatch(
      /migration 3_broken failed/,
    );
    const [row] = await runOnce(
      url,
      "select to_regclass('first') is not null as kept, to_regclass('half_done') is null as gone",
    );
    expect(row).toEqual({ kept: true, gone: true });
  });

  test("run by several servers at once is done once", async () => {
    const url = await emptyDatabase();
    const runs = await Promise.all([0, 1, 2, 3].map(() => migrateAt(url, [first, second])));
    expect(runs.flat()).toHaveLength(2);
  });

  test("gives way to whoever it would keep waiting behind a lock, and is tried again", async () => {
    const url = await emptyDatabase();
    await migrateAt(url, [first]);
    const reader = await openPostgresSession(url);
    await reader.exec("begin; select * from first");
    const session = await openPostgresSession(url);
    const alter = { version: "4", name: "alter", sql: "alter table first add column m int" };
    const patience = { lockTimeoutMs: 50, pauseMs: 10, triesMax: 1_000 };
    const migrating = migrate(session, [first, alter], patience);
    // Queries after it read as soon as it gives up, while the reader still reads.
    for (let reads = 0; reads < 3; reads++) await runOnce(url, "select n from first");
    await reader.exec("commit");
    expect(await migrating).toEqual([alter]);
    await Promise.all([reader.close(), session.close()]);
  });

  test("says what held it up when it gives up, and leaves no trace", async () => {
    const url = await emptyDatabase();
    await migrateAt(url, [first]);
    const reader = await openPostgresSession(url);
    await reader.exec("begin; select * from first");
    const session = await openPostgresSession(url);
    const alter = { version: "4", name: "alter", sql: "alter table first add column m int" };
    const patience = { lockTimeoutMs: 10, pauseMs: 1, triesMax: 3 };
    const error = await rejection(migrate(session, [first, alter], patience));
    expect(String(error)).toMatch(/migration 4_alter failed: another transaction held a lock/);
    await reader.exec("commit");
    expect(await migrate(session, [first, alter])).toEqual([alter]);
    await Promise.all([reader.close(), session.close()]);
  });

  test("leaves the migrations of others in the same ledger alone", async () => {
    const url = await emptyDatabase();
    await migrateAt(url, [{ version: "0", name: "theirs", sql: "select 1;" }]);
    expect(await migrateAt(url, [first])).toEqual([first]);
  });
});

describe("close_functions, which ends every migration", () => {
  test("takes what it makes from the public, and gives it to the roles it was offered to", async () => {
    const url = await emptyDatabase();
    const later: Migration = {
      version: "99991231000000",
      name: "later",
      sql: `create function mailer.later(args text) returns text language sql return args;
            create function mailer.later_inner() returns text language sql return 'x';
            call mailer.offer('later', 'user', 'admin');
            call mailer.close_functions();`,
    };
    await migrateAt(url, [...MIGRATIONS, later]);
    const executors = await runOnce(
      url,
      `select f, array(select r from unnest('{mailer_client,mailer_owner,mailer_service}'::text[]) r
         where has_function_privilege(r, f::regprocedure, 'execute')) as by
       from unnest('{mailer.later(text),mailer.later_inner()}'::text[]) f
       union all select 'functions', roles from mailer.functions where name = 'later'`,
    );
    expect(executors).toEqual([
      { f: "mailer.later(text)", by: ["mailer_owner", "mailer_service"] },
      { f: "mailer.later_inner()", by: ["mailer_service"] },
      { f: "functions", by: ["user", "admin"] },
    ]);
  });
});

describe("a database of an earlier schema", () => {
  async function refusedAt(url: string): Promise<EarlierSchemaError> {
    const error = await rejection(migrateAt(url));
    if (!(error instanceof EarlierSchemaError)) throw error;
    return error;
  }

  test("is refused by name and left as it is; its command begins anew", async () => {
    const url = await emptyDatabase();
    await runOnce(url, EARLIER_SCHEMA);
    const before = await dumpOf(url);
    expect((await refusedAt(url)).message).toMatch(/earlier program \(migration 20261124000029\)/);
    const session = await openPostgresSession(url);
    expect(await rejection(migrationStatus(session))).toBeInstanceOf(EarlierSchemaError);
    await session.close();
    expect(String(await rejection(runOnce(url, schemaText())))).toMatch(
      /schema mailer of an earlier/,
    );
    expect(await dumpOf(url)).toBe(before);

    const [, sql = ""] = /-c "(.*)"$/.exec((await refusedAt(url)).command) ?? [];
    await runOnce(url, sql);
    expect(await migrateAt(url)).toHaveLength(MIGRATIONS.length);
  }, 60_000);

  test("is one of our version made of other files, too, until that version is released", async () => {
    const url = await emptyDatabase();
    await migrateAt(url);
    const { version } = MIGRATIONS.at(-1) ?? first;
    await runOnce(
      url,
      `create or replace function mailer.schema_version(args text) returns text
       language sql immutable return '{"version":"${version}","digest":"0123456789abcdef"}'`,
    );
    expect((await refusedAt(url)).saw).toMatch(`migration ${version} (digest 0123456789abcdef)`);
    await runOnce(url, beginAnewSql);
    expect(await migrateAt(url)).toHaveLength(MIGRATIONS.length);
  }, 60_000);

  test("is not one of a later release, which is left alone", async () => {
    const url = await emptyDatabase();
    await migrateAt(url);
    await runOnce(
      url,
      `create or replace function mailer.schema_version(args text) returns text
       language sql immutable return '{"version":"20991231000000","digest":"0123456789abcdef"}'`,
    );
    expect(await migrateAt(url)).toEqual([]);
  }, 60_000);
});

describe("migrationStatus", () => {
  test("tells what is applied and changes nothing", async () => {
    const url = await emptyDatabase();
    const session = await openPostgresSession(url);
    try {
      const states = await migrationStatus(session, [first]);
      expect(states).toEqual([{ version: "1", name: "first", isApplied: false }]);
      expect(await session.query("select to_regnamespace('supabase_migrations') as n")).toEqual([
        { n: null },
      ]);
      await migrate(session, [first]);
      expect(await migrationStatus(session, [first, second])).toMatchObject([
        { isApplied: true },
        { isApplied: false },
      ]);
    } finally {
      await session.close();
    }
  });
});

describe("a user without the rights", () => {
  test("is told the statements an admin must run, and these suffice", async () => {
    const admin = await emptyDatabase();
    const user = `plain_${crypto.randomUUID().slice(0, 8)}`;
    const owned = `${user}_owner`;
    await runOnce(admin, `create role ${user} login`);
    const url = new URL(admin);
    url.username = user;
    const makesRole: Migration = {
      version: "9",
      name: "role",
      sql: `create role ${owned} nologin; grant ${owned} to current_user; create schema s;
            grant create on schema s to ${owned};
            create function s.f() returns int language sql as 'select 1';
            alter function s.f() owner to ${owned};`,
    };

    const failure = await migrateAt(url.href, [makesRole]).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(MigrationRightsError);
    if (!(failure instanceof MigrationRightsError)) throw failure;
    for (const statement of failure.statements) await runOnce(admin, statement);
    expect(await migrateAt(url.href, [makesRole])).toEqual([makesRole]);

    await runOnce(admin, `drop owned by ${owned}, ${user}; drop role ${owned}, ${user}`);
  });
});
