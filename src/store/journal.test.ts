import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { newEmail, store, userClaims } from "../testing/fixtures/new-email.ts";
import { rejection } from "../testing/fixtures/rejection.ts";
import { sealedEntries } from "../testing/fixtures/sealed-entries.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { createEmails, type Emails } from "./emails.ts";
import { createJournal, type Journal, type JournalEntry } from "./journal.ts";

describe.each(drivers)("the journal on $driver", ({ open }) => {
  let opened: OpenDatabase;
  let sql: DirectSql;
  let emails: Emails;
  let journal: Journal;
  beforeAll(async () => {
    opened = await open();
    sql = await directSql(opened.database);
    emails = createEmails(opened.database);
    journal = createJournal(opened.database);
  }, 60_000);
  afterAll(async () => {
    await sql.close();
    await opened.close();
  });

  /** Schedules emails of an owner and cancels each: two entries per email. */
  async function scheduleAndCancel(ownerId: string, count: number): Promise<string[]> {
    const drafts = Array.from({ length: count }, () => newEmail());
    await store(emails, drafts, { ownerId, actor: ownerId });
    const ids = drafts.map(({ id }) => id);
    for (const id of ids) await emails.cancel(id, userClaims(ownerId), null);
    return ids;
  }

  async function sealAll(): Promise<void> {
    while ((await journal.seal(100)).hasMore);
  }

  async function readAll(limit = 500): Promise<JournalEntry[]> {
    const all: JournalEntry[] = [];
    for (;;) {
      const page = await sealedEntries(opened.database, {
        after: all.at(-1)?.position ?? 0,
        limit,
      });
      all.push(...page);
      if (page.length < limit) return all;
    }
  }

  test("positions have no gap, nor have the numbers of each owner", async () => {
    await scheduleAndCancel("ada", 5);
    await scheduleAndCancel("bob", 3);
    await scheduleAndCancel("ada", 2);
    await sealAll();
    const entries = await readAll(7);
    expect(entries.length).toBeGreaterThanOrEqual(20);
    expect(entries.map(({ position }) => position)).toEqual(entries.map((_, index) => index + 1));
    for (const owner of ["ada", "bob"]) {
      const numbers = entries.filter(({ ownerId }) => ownerId === owner).map((e) => e.number);
      expect(numbers).toEqual(numbers.map((_, index) => index + 1));
    }
  });

  test("what one call may seal is bounded, and the answer says that there is more", async () => {
    await sealAll();
    await scheduleAndCancel("limit", 3);
    expect(await journal.seal(4)).toMatchObject({ sealed: 4, hasMore: true, isBusy: false });
    const second = await journal.seal(4);
    expect(second).toEqual({ sealed: 2, hasMore: false, isBusy: false, oldestMs: 0 });
    expect((await journal.seal(4)).sealed).toBe(0);
  });

  test("the lag counts what is not sealed yet, and readers do not see it", async () => {
    await sealAll();
    expect(await journal.lag()).toEqual({ unsealed: 0, oldestMs: 0 });
    const before = (await readAll()).length;
    await scheduleAndCancel("lag", 1);
    const lag = await journal.lag();
    expect(lag.unsealed).toBe(2);
    expect(lag.oldestMs).toBeGreaterThan(0);
    expect((await readAll()).length).toBe(before);
    await sealAll();
    expect((await readAll()).length).toBe(before + 2);
  });

  test("an email's entries come in their sequence", async () => {
    const ids = await scheduleAndCancel("sequence", 4);
    await sealAll();
    for (const emailId of ids) {
      const entries = await sealedEntries(opened.database, { limit: 10, emailId });
      expect(entries.map(({ sequence, action }) => [sequence, action])).toEqual([
        [1, "email.scheduled"],
        [2, "email.cancelled"],
      ]);
    }
  });

  test("a user reads its own entries only, whatever it asks for", async () => {
    const [own] = await scheduleAndCancel("eve", 1);
    const [other] = await scheduleAndCancel("mallory", 1);
    await sealAll();
    const eve = userClaims("eve");
    const seen = [
      await sealedEntries(opened.database, { limit: 500 }, eve),
      await sealedEntries(opened.database, { limit: 500, ownerId: "mallory" }, eve),
    ];
    for (const entries of seen) {
      expect(entries.map(({ emailId }) => emailId)).toEqual([own ?? "", own ?? ""]);
    }
    const theirs = { limit: 500, emailId: other ?? "" };
    expect(await sealedEntries(opened.database, theirs, eve)).toEqual([]);
    expect(await sealedEntries(opened.database, theirs)).toHaveLength(2);
  });

  test("a user can neither seal nor ask for the lag", async () => {
    for (const fn of ["seal_journal", "journal_lag", "seal_batch"]) {
      const call = opened.database.rpc(fn, { limit: 1 }, userClaims("ada"));
      expect(await rejection(call)).toMatchObject({ code: "forbidden" });
    }
  });

  test("an entry that was written past every lock is sealed by the round after its commit", async () => {
    await scheduleAndCancel("late", 1);
    const late = await directSql(opened.database);
    // One connection of the embedded database is all there is: there it commits before.
    const isAlone = opened.database.driver === "pglite";
    if (!isAlone) await late.query("begin");
    await late.query(
      "insert into mailer.journal (owner_id, actor, action) values ('late', 'x', 'test.late')",
    );
    await scheduleAndCancel("late", 1);
    await sealAll();
    const actions = async () =>
      (await sealedEntries(opened.database, { limit: 10, ownerId: "late" })).map(
        ({ action }) => action,
      );
    if (!isAlone) {
      expect(await actions()).not.toContain("test.late");
      await late.query("commit");
      await sealAll();
    }
    expect(await actions()).toContain("test.late");
    expect(await actions()).toHaveLength(5);
    await late.close();
  });

  test.each([
    "update mailer.journal set actor = 'someone else'",
    "delete from mailer.journal",
    "truncate mailer.journal",
    "update mailer.seals set position = position + 1",
    "update mailer.seals set hash = sha256('x')",
    "delete from mailer.seals",
    "truncate mailer.seals",
  ])("the owner of the table is refused: %s", async (statement) => {
    await scheduleAndCancel("guard", 1);
    await sealAll();
    const before = await readAll();
    expect(String(await rejection(sql.query(statement)))).toMatch("append-only");
    expect(await readAll()).toEqual(before);
  });

  test("an entry that is not sealed yet is not changed either, and no entry is sealed twice", async () => {
    await scheduleAndCancel("guard", 1);
    const touch = sql.query("update mailer.journal set detail = '{}'");
    expect(String(await rejection(touch))).toMatch("append-only");
    await sealAll();
    const again = sql.query(
      `insert into mailer.seals (position, entry_id, owner_id, number, hash)
       select position + 1000000, entry_id, owner_id, number + 1000000, hash from mailer.seals`,
    );
    expect(String(await rejection(again))).toMatch("seals_entry_id_key");
  });
});
