import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EARLIER_SCHEMA } from "../testing/fixtures/earlier-schema.ts";
import { rejection } from "../testing/fixtures/rejection.ts";
import { partClaims } from "./database.ts";
import { FolderInUseError } from "./folder-lock.ts";
import { openPgliteDatabase, type PgliteDatabase } from "./pglite-database.ts";
import { openPglite, postgresMajor } from "./pglite-engine.ts";
import { holdPglite, queryPglite } from "./pglite-query.ts";
import { EarlierSchemaError } from "./schema-origin.ts";

const claims = partClaims("ping");
const root = mkdtempSync(join(tmpdir(), "mailer-pglite-"));
const cacheDir = join(root, "cache");
let database: PgliteDatabase;
let syncs = 0;

async function open(name: string, more: { deadlineMs?: number; freeBytesMin?: number } = {}) {
  const onSync = () => {
    syncs += 1;
  };
  return openPgliteDatabase({ dataDir: join(root, name), cacheDir, onSync, ...more });
}

function query(on: PgliteDatabase, sql: string, values: unknown[] = []) {
  return on.engine.use((pglite) => holdPglite(pglite, () => queryPglite(pglite, sql, values)));
}

beforeAll(async () => {
  database = await open("main");
  await query(database, "create schema probe; create table probe.notes (text text)");
}, 120_000);

afterAll(async () => {
  await database.close();
  rmSync(root, { recursive: true, force: true });
}, 60_000);

describe("a call", () => {
  test("reaches call_as, which refuses what it does not know with its code", async () => {
    expect(await rejection(database.rpc("no_such_function", {}, claims))).toMatchObject({
      code: "forbidden",
    });
    await database.ping();
  });

  test("that fails leaves the session usable and no transaction open", async () => {
    expect(await rejection(query(database, "select 1 / $1::int", [0]))).toMatchObject({
      code: "22012",
    });
    expect((await query(database, "select 'ok' as answer")).rows).toEqual([{ answer: "ok" }]);
  });

  test("whose turn does not come within the deadline is dropped", async () => {
    const hasty = await open("hasty", { deadlineMs: 200 });
    const done = Promise.withResolvers<void>();
    const hogging = hasty.engine.use((pglite) => holdPglite(pglite, () => done.promise));
    expect(await rejection(hasty.ping())).toMatchObject({ code: "database_unavailable" });
    done.resolve();
    await hogging;
    await hasty.ping();
    await hasty.close();
  }, 60_000);

  test("does not keep timers waiting while many others wait for their turn", async () => {
    const order: string[] = [];
    const calls = Array.from({ length: 50 }, () =>
      query(database, "insert into probe.notes values ('x')").then(() => order.push("call")),
    );
    setTimeout(() => order.push("timer"), 1);
    await Promise.all(calls);
    expect(order.indexOf("timer")).toBeWithin(0, 25);
  });
});

describe("durability", () => {
  test("every commit is synced to the disk, once, and a read is not", async () => {
    await query(database, "insert into probe.notes values ('warm')");
    syncs = 0;
    for (let n = 0; n < 10; n++) await query(database, "insert into probe.notes values ($1)", [n]);
    expect(syncs).toBe(10);
    await query(database, "select count(*) from probe.notes");
    expect(syncs).toBe(10);
  });

  test("what was answered survives kill -9, and the folder opens again", async () => {
    const dataDir = join(root, "killed");
    const script = `
      const { openPgliteDatabase } = await import(${JSON.stringify(join(import.meta.dir, "pglite-database.ts"))});
      const { holdPglite, queryPglite } = await import(${JSON.stringify(join(import.meta.dir, "pglite-query.ts"))});
      const database = await openPgliteDatabase(${JSON.stringify({ dataDir, cacheDir })});
      const run = (sql) => database.engine.use((p) => holdPglite(p, () => queryPglite(p, sql)));
      await run("create table public.kept (n int)");
      for (let n = 1; ; n++) {
        await run("insert into public.kept values (" + n + ")");
        console.log(n);
      }`;
    const writer = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
    let printed = "";
    for await (const chunk of writer.stdout) {
      printed += new TextDecoder().decode(chunk);
      if (printed.split("\n").length > 20) writer.kill("SIGKILL");
    }
    const acknowledged = Number(printed.trim().split("\n").at(-1));
    expect(acknowledged).toBeGreaterThan(10);
    const again = await open("killed");
    const { rows } = await query(again, "select max(n) as n, count(*)::int as count from kept");
    expect(Number(rows[0]?.n)).toBeGreaterThanOrEqual(acknowledged);
    expect(rows[0]?.count).toBe(Number(rows[0]?.n));
    await again.close();
  }, 60_000);
});

describe("the folder", () => {
  test("is refused while somebody has it", async () => {
    expect(await rejection(open("main"))).toBeInstanceOf(FolderInUseError);
  });

  test("starts although earlier first starts were interrupted, and their remains go", async () => {
    const dataDir = join(root, "interrupted");
    mkdirSync(join(dataDir, "database.tmp-1"), { recursive: true });
    writeFileSync(join(dataDir, "database.tmp-1", "PG_VERSION"), "18");
    mkdirSync(join(dataDir, "database"));
    const started = await open("interrupted");
    await started.ping();
    await started.close();
    expect(readdirSync(dataDir).sort()).toEqual(["database", "lock.sqlite"]);
  }, 60_000);

  test("is made anew when the first start did not get as far as the disk", async () => {
    const dataDir = join(root, "unsynced");
    mkdirSync(join(dataDir, "database"), { recursive: true });
    writeFileSync(join(dataDir, "database", "PG_VERSION"), "");
    writeFileSync(join(dataDir, "database.unsynced"), "");
    const started = await open("unsynced");
    await started.ping();
    await started.close();
    expect(readdirSync(dataDir).sort()).toEqual(["database", "lock.sqlite"]);
  }, 60_000);

  test("of another PostgreSQL is refused by name, and stays as it is", async () => {
    const dataDir = join(root, "older");
    mkdirSync(join(dataDir, "database"), { recursive: true });
    writeFileSync(join(dataDir, "database", "PG_VERSION"), "17\n");
    expect(String(await rejection(open("older")))).toMatch(
      /is of PostgreSQL 17, and this program runs 18.*Nothing was changed/s,
    );
    const made = readFileSync(join(root, "main", "database", "PG_VERSION"), "utf8");
    expect(made.trim()).toBe(postgresMajor);
  });

  test("is not taken over when somebody's files are in its place, and is unlocked again", async () => {
    const dataDir = join(root, "foreign");
    mkdirSync(join(dataDir, "database"), { recursive: true });
    writeFileSync(join(dataDir, "database", "thesis.txt"), "mine");
    expect(String(await rejection(open("foreign")))).toMatch(/not empty/i);
    expect(existsSync(join(dataDir, "database", "thesis.txt"))).toBe(true);
    expect(String(await rejection(open("foreign")))).toMatch(/not empty/i);
  });

  test("of an earlier schema is refused by name; its command begins anew and keeps it", async () => {
    const fresh = await open("earlier");
    await query(fresh, "drop schema mailer, mailer_api, supabase_migrations cascade");
    await query(fresh, EARLIER_SCHEMA);
    await fresh.close();
    for (const _ of [1, 2]) {
      const error = await rejection(open("earlier"));
      expect(error).toBeInstanceOf(EarlierSchemaError);
      expect(String(error)).toMatch(
        /migration 20261124000029.*Nothing was changed.*mv .*database/s,
      );
    }
    const folder = join(root, "earlier", "database");
    const { command } = (await rejection(open("earlier"))) as EarlierSchemaError;
    expect(Bun.spawnSync(command.split(" ")).exitCode).toBe(0);
    const kept = await openPglite(`${folder}.earlier`);
    expect((await kept.query("select owner_id from mailer.emails")).rows).toHaveLength(1);
    await kept.close();
    await (await open("earlier")).close();
  }, 60_000);

  test("keeps everything over a close and an opening", async () => {
    const first = await open("reopened");
    await query(first, "create table public.kept as select 7 as n");
    await first.close();
    const second = await open("reopened");
    expect((await query(second, "select n from kept")).rows).toEqual([{ n: 7 }]);
    await second.close();
  }, 60_000);
});

describe("a disk that fills up", () => {
  test("nothing is written once space is short, and calls are refused", async () => {
    const starved = await open("starved", { freeBytesMin: 0 });
    await starved.ping();
    await starved.close();
    const full = openPgliteDatabase({
      dataDir: join(root, "starved"),
      cacheDir,
      freeBytesMin: Number.MAX_SAFE_INTEGER,
    });
    expect(await rejection(full)).toMatchObject({ code: "database_unavailable" });
  }, 60_000);

  test("a panic of PostgreSQL refuses calls until a new one has recovered the folder", async () => {
    const panicking = await open("panicking");
    await query(panicking, "create table public.kept as select 1 as n");
    await panicking.engine.use(async (pglite) => failWrites(pglite.Module));
    expect(await rejection(query(panicking, "insert into kept values (2)"))).toMatchObject({
      severity: "PANIC",
    });
    expect(await rejection(panicking.ping())).toMatchObject({ code: "database_unavailable" });
    const replaced = Promise.withResolvers<void>();
    panicking.engine.onReplaced(replaced.resolve);
    await replaced.promise;
    expect((await query(panicking, "select n from kept")).rows).toEqual([{ n: 1 }]);
    await query(panicking, "insert into kept values (3)");
    await panicking.close();
  }, 60_000);
});

/** Every further write fails with ENOSPC, as on a full disk; only in this instance of PGlite. */
function failWrites(module: { NODEFS: object; FS: { ErrnoError: new (code: number) => Error } }) {
  const operations = "stream_ops" in module.NODEFS ? module.NODEFS.stream_ops : null;
  Object.assign(operations ?? {}, {
    write() {
      throw new module.FS.ErrnoError(51);
    },
  });
}
