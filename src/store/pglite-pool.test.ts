import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rejection } from "../testing/fixtures/rejection.ts";
import { createPgliteEngine, type PgliteEngine } from "./pglite-engine.ts";
import { createPglitePool, type PglitePool } from "./pglite-pool.ts";
import { holdPglite, queryPglite } from "./pglite-query.ts";

const root = mkdtempSync(join(tmpdir(), "mailer-pool-"));
let engine: PgliteEngine;
let pool: PglitePool;

beforeAll(async () => {
  engine = await createPgliteEngine({ folder: join(root, "database") });
  pool = createPglitePool({ engine, searchPath: "jobs" });
  await pool.query("create schema jobs");
  await pool.query("create table note (n int)");
}, 120_000);

afterAll(async () => {
  await engine.close();
  rmSync(root, { recursive: true, force: true });
}, 60_000);

const count = async () => (await pool.query<{ n: string }>("select count(*) as n from note")).rows;

describe("a query", () => {
  test("finds unqualified names in the schema of the pool", async () => {
    const { rows } = await pool.query("select to_regclass('jobs.note') is not null as found");
    expect(rows).toEqual([{ found: true }]);
  });

  test("takes and gives values as pg does: bigint as text, json parsed, arrays and null", async () => {
    const { rows } = await pool.query(
      "select $1::bigint as big, $2::jsonb as json, $3::text[] as list, $4::text as nothing",
      ["9007199254740993", { a: [1] }, ["x,y", 'q"'], null],
    );
    const expected = { big: "9007199254740993", json: { a: [1] }, list: ["x,y", 'q"'] };
    expect(rows).toEqual([{ ...expected, nothing: null }]);
  });

  test("tells how many rows it changed", async () => {
    await pool.query("create table counted as select generate_series(1, 3) as n");
    expect((await pool.query("delete from counted where n > $1", [1])).rowCount).toBe(2);
  });
});

describe("a transaction", () => {
  test("has the session to itself until it ends", async () => {
    const before = await count();
    const client = await pool.connect();
    await client.query("BEGIN");
    await client.query("insert into note values ($1)", [1]);
    let isOver = false;
    const outside = engine.use((pglite) =>
      holdPglite(pglite, () => {
        expect(isOver).toBe(true);
        return queryPglite(pglite, "select count(*) as n from jobs.note");
      }),
    );
    await client.query("insert into note values ($1)", [2]);
    isOver = true;
    await client.query("ROLLBACK");
    expect((await outside).rows).toEqual(before);
    client.release();
  });

  test("that its user left open is rolled back when the client is released", async () => {
    const before = await count();
    const client = await pool.connect();
    await client.query("begin");
    await client.query("insert into note values (3)");
    client.release();
    expect(await count()).toEqual(before);
  });

  test("that failed is over after its ROLLBACK, and the next one begins afresh", async () => {
    const client = await pool.connect();
    await client.query("begin");
    expect(await rejection(client.query("select 1 / $1::int", [0]))).toMatchObject({
      code: "22012",
    });
    await client.query("rollback");
    await client.query("begin");
    await client.query("insert into note values (4)");
    await client.query("commit");
    client.release();
    expect(await pool.query("select n from note where n = 4")).toMatchObject({ rowCount: 1 });
  });
});

describe("LISTEN", () => {
  test("brings what others notify, until the client is released", async () => {
    const client = await pool.connect();
    const heard: unknown[] = [];
    client.on("notification", (message) => heard.push(message));
    await client.query("LISTEN jobs_ready");
    await pool.query("select pg_notify('jobs_ready', 'emails')");
    expect(heard).toEqual([{ channel: "jobs_ready", payload: "emails" }]);
    client.release();
    await pool.query("select pg_notify('jobs_ready', 'emails')");
    expect(heard).toHaveLength(1);
  });
});
