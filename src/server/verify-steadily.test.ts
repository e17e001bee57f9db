import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createLogger } from "../log.ts";
import { createChainParts } from "../store/chain-parts.ts";
import { createEmails } from "../store/emails.ts";
import { createJournal } from "../store/journal.ts";
import { newEmail, store } from "../testing/fixtures/new-email.ts";
import { joinRegion } from "../testing/product/region-process.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { verifySteadily } from "./verify-steadily.ts";

setDefaultTimeout(60_000);

const owners = ["ada", "bob", "ada", "zoë", "bob", "ada", "ada", "bob", "ada"];

describe.each(drivers)("the journal on $driver, verified part by part", ({ open }) => {
  let opened: OpenDatabase;
  let sql: DirectSql;
  beforeAll(async () => {
    opened = await open();
    sql = await directSql(opened.database);
    const emails = createEmails(opened.database);
    for (const ownerId of owners) await store(emails, [newEmail()], { ownerId, actor: ownerId });
    await seal();
  });
  afterAll(async () => {
    await sql?.close();
    await opened?.close();
  });

  const seal = async () => {
    while ((await createJournal(opened.database).seal(500)).hasMore);
  };

  /** One run of another process, and what it logged. */
  async function run(limits = { partSize: 2, partsMax: 100 }) {
    const lines: Record<string, unknown>[] = [];
    const stream = { write: (line: string) => void lines.push(JSON.parse(line)) };
    const log = createLogger({ level: "error", stream, isForPeople: false });
    const chainParts = createChainParts(opened.database, { region: "local" });
    const result = await verifySteadily({ chainParts, log, pause: async () => {}, limits });
    return { result, lines };
  }

  const anew = () => sql.query("delete from mailer.settings where name = 'journal_verified_to'");

  /** What the triggers forbid, undone afterwards. */
  async function tampered(statement: string, work: () => Promise<void>): Promise<void> {
    const keys = { journal: "id", seals: "position", journal_heads: "owner_id" };
    const tables = Object.keys(keys);
    const triggers = async (how: "disable" | "enable") => {
      for (const table of tables)
        await sql.query(`alter table mailer.${table} ${how} trigger user`);
    };
    for (const table of tables) {
      await sql.query(`create table public.kept_${table} as select * from mailer.${table}`);
    }
    await triggers("disable");
    await sql.query(statement);
    await triggers("enable");
    try {
      await work();
    } finally {
      await triggers("disable");
      for (const [table, key] of Object.entries(keys)) {
        await sql.query(
          `delete from mailer.${table} t using public.kept_${table} k where k.${key} = t.${key}`,
        );
        await sql.query(
          `insert into mailer.${table} overriding system value select * from public.kept_${table}`,
        );
        await sql.query(`drop table public.kept_${table}`);
      }
      await triggers("enable");
    }
  }

  test("a run verifies a bounded part, another process goes on after it, and after the end it begins anew", async () => {
    const part = { partSize: 2, partsMax: 2 };
    for (const [entries, position] of [
      [4, 4],
      [4, 8],
      [1, 9],
      [4, 4],
    ] as const) {
      expect(await run(part)).toEqual({ result: { entries, position, broken: 0 }, lines: [] });
    }
  });

  const id = (position: number) =>
    `(select entry_id from mailer.seals where position = ${position})`;
  test.each([
    [
      "an entry that says something else",
      `update mailer.journal set actor = 'eve' where id = ${id(6)}`,
      /^entry 3 of owner "ada" \(position 6\) does not follow/,
    ],
    [
      "an entry that was removed",
      `delete from mailer.journal where id = ${id(5)}`,
      /position 5 is missing|^entry 2 of owner "bob" is missing/,
    ],
    [
      "the newest entries, removed",
      `delete from mailer.journal where id >= ${id(8)}`,
      /position 8 is missing/,
    ],
    [
      "a seal that was rewritten",
      "update mailer.seals set hash = sha256('x') where position = 7",
      /^entry 4 of owner "ada" \(position 7\)/,
    ],
    [
      "a seal that was removed",
      "delete from mailer.seals where position = 1",
      /position 1 is missing|^entry 1 of owner "ada" is missing/,
    ],
    [
      "a chain that ends elsewhere",
      "update mailer.journal_heads set hash = sha256('x') where owner_id = 'zoë'",
      /^entry 1 of owner "zoë"/,
    ],
  ])("%s is found, wherever the parts begin", async (_, statement, where) => {
    await tampered(statement, async () => {
      for (const partSize of [1, 2, 3, 500]) {
        await anew();
        const { result, lines } = await run({ partSize, partsMax: 100 });
        expect([partSize, result.broken]).toEqual([partSize, 1]);
        expect(lines).toMatchObject([{ level: "error", reason: expect.stringMatching(where) }]);
      }
    });
    await anew();
    expect(await run()).toMatchObject({ result: { entries: 9, broken: 0 }, lines: [] });
  });

  test("a break is told once and by the state of the region, and its end as well", async () => {
    const { presence } = await joinRegion(opened.database, "local");
    const since = async () => (await presence.regionStatus(1)).journalBrokenSince;
    const told = async () => {
      const query = `select action, detail::text from mailer.journal
        where action in ('journal.broken', 'journal.sound') order by id desc limit 2`;
      const rows = await sql.query(query);
      return rows.map(({ action, detail }) => [action, JSON.parse(String(detail))]).reverse();
    };
    await anew();
    await run();
    expect(await since()).toBeNull();
    const before = await told();
    await tampered(`update mailer.journal set actor = 'eve' where id = ${id(6)}`, async () => {
      expect((await run()).result.broken).toBe(1);
      expect((await run()).result.broken).toBe(1);
      expect(await since()).toBeInstanceOf(Date);
      expect((await told()).at(-1)).toEqual([
        "journal.broken",
        { owner: "ada", number: 3, position: 6, reason: "hash" },
      ]);
      expect((await told()).filter(([action]) => action === "journal.broken")).toHaveLength(1);
    });
    expect(before).toHaveLength(2);
    expect((await run()).result.broken).toBe(0);
    expect(await since()).toBeNull();
    expect((await told()).at(-1)).toEqual(["journal.sound", { lasted_ms: expect.any(Number) }]);
  });
});
