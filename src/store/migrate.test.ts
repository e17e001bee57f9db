import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { claimedOne } from "../testing/claim-one.ts";
import { runOnce, type SharedPostgres, sharedPostgres } from "../testing/postgres-server.ts";
import { rejection } from "../testing/rejection.ts";
import { createAttempts } from "./attempts.ts";
import { MigrationRightsError, migrate, migrationStatus } from "./migrate.ts";
import { MIGRATIONS, type Migration } from "./migrations.ts";
import { createPostgresDatabase } from "./postgres-database.ts";
import { openPostgresSession } from "./postgres-session.ts";

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

async function migrateAt(url: string, migrations?: readonly Migration[]): Promise<Migration[]> {
  const session = await openPostgresSession(url);
  return migrate(session, migrations).finally(() => session.close());
}

function digestOf(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text).digest("hex").slice(0, 16);
}

beforeAll(async () => {
  server = await sharedPostgres();
}, 60_000);

afterAll(async () => {
  for (const name of databases) await runOnce(server.adminUrl, `drop database ${name}`);
}, 60_000);

describe("the embedded list", () => {
  test("names exactly the files of supabase/migrations, in their order", () => {
    const folder = join(import.meta.dir, "../../supabase/migrations");
    const files = readdirSync(folder).filter((file) => file.endsWith(".sql"));
    expect(MIGRATIONS.map(({ version, name }) => `${version}_${name}.sql`)).toEqual(files.sort());
  });

  test("carries the text of each", async () => {
    for (const { version, name, sql } of MIGRATIONS) {
      const file = join(import.meta.dir, `../../supabase/migrations/${version}_${name}.sql`);
      expect(sql).toBe(await Bun.file(file).text());
    }
  });

  test("leaves every file that somebody may have applied as it was", () => {
    // A database never runs a version twice: a change belongs into a new file. Add each line
    // when its file lands.
    const landed = {
      "20261124000001": "fbf7fdf225a9bcaf",
      "20261124000002": "b4a627fb55e05694",
      "20261124000003": "de1adf70b7da658a",
      "20261124000004": "dbb7fe7422db52da",
      "20261124000005": "75bd84ae76ed7593",
      "20261124000006": "ec2e8aead5efbc8d",
      "20261124000007": "018f689ddfb46011",
      "20261124000008": "80e9bfa4ccc55c25",
      "20261124000009": "f08cb712d13b913c",
      "20261124000010": "e86305cd4aee290d",
      "20261124000011": "9c542512fd4f1346",
      "20261124000012": "bd0977fa42d88bfe",
      "20261124000013": "5a06d5c024add966",
      "20261124000014": "40fc7049e77a54ac",
      "20261124000015": "4875b7bc0f56a43e",
      "20261124000016": "f81d2c43a209a9e0",
      "20261124000017": "f33df789de4d4dfb",
      "20261124000018": "838bb984f8eda6c4",
      "20261124000019": "8b6c9afe3f866c5e",
      "20261124000020": "9bb597daff24d8c3",
      "20261124000021": "dbd6a43169cb2a12",
      "20261124000022": "90227923ff56ff6e",
      "20261124000023": "5b5c5663f5ae565a",
      "20261124000024": "ae08ccaf8084de09",
      "20261124000025": "f7a21855a2b2035e",
      "20261124000026": "d26b5e5dfeaf9134",
      "20261124000027": "30169a0ba886b405",
      "20261124000028": "baf6b8ae07410d17",
      "20261124000029": "b4a688755a139ff9",
      "20261124000030": "7588a85a1dbbf12f",
      "20261124000031": "0f605e6e8cde696c",
      "20261124000032": "f3355e988fca5ba8",
      "20261124000033": "649cf38b50302537",
      "20261124000034": "c558e65a9c392631",
      "20261124000035": "82585c8d9ae7da52",
      "20261124000036": "9d2afbd44f32d4b6",
      "20261124000037": "033d0bd6ba568835",
      "20261124000038": "23305917326f9ec9",
      "20261124000039": "e588ecc27e1abeb2",
    };
    const digests = MIGRATIONS.map(({ version, sql }) => [version, digestOf(sql)]);
    expect(Object.fromEntries(digests)).toMatchObject(landed);
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
    // Whoever comes after it reads as soon as it gives up, while the reader still reads.
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

describe("a database of the first release", () => {
  test("is brought up to date with what it holds, which is sent as before", async () => {
    const url = await emptyDatabase();
    await migrateAt(url, MIGRATIONS.slice(0, 9));
    const id = Bun.randomUUIDv7();
    const session = await openPostgresSession(url);
    await session.exec(`
      insert into mailer.emails (id, owner_id, region, created_at, scheduled_at, next_attempt_at,
        age_from, on_late, on_uncertain, max_retries, max_age_seconds, wrapped_key, sender,
        subject, message_bytes, sequence)
      values ('${id}', 'ada', 'local', now(), now(), now(), now(), 'send', 'retry', 3, 345600,
        'wrapped', 'sender', 'subject', 5, 1);
      insert into mailer.contents values ('${id}', 'ada', 'hello', 'details');
      insert into mailer.recipients (email_id, position, owner_id, kind, address, address_index)
      values ('${id}', 0, 'ada', 'to', 'address', 'index');`);
    await session.close();
    expect(await migrateAt(url)).toHaveLength(MIGRATIONS.length - 9);

    const database = createPostgresDatabase({ url, poolSize: 2 });
    const attempts = createAttempts(database, {
      workerId: Bun.randomUUIDv7(),
      region: "local",
      transport: "smtp",
    });
    const claim = await claimedOne(database, attempts, id);
    expect(claim).toMatchObject({ id, messageBytes: 5 });
    expect(await attempts.fence(id, claim.token, new Date())).toMatchObject({ granted: true });
    await database.close();
  });
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
