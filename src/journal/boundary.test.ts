import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createEmails, type Emails } from "../store/emails.ts";
import { createJournal, type Journal } from "../store/journal.ts";
import { createPostgresDatabase, type PostgresDatabase } from "../store/postgres-database.ts";
import { newEmail, store } from "../testing/fixtures/new-email.ts";
import { sealedEntries } from "../testing/fixtures/sealed-entries.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";

/** What transactions of others, open while the sealer works, do to it and it to them. */
describe("the boundary", () => {
  let database: PostgresDatabase;
  let journal: Journal;
  let emails: Emails;
  let others: DirectSql[];
  let admin: DirectSql;
  beforeAll(async () => {
    database = createPostgresDatabase({ url: (await freshDatabase()).url });
    journal = createJournal(database);
    emails = createEmails(database);
    admin = await directSql(database);
    others = await Promise.all([1, 2, 3].map(() => directSql(database)));
  }, 60_000);
  afterAll(async () => {
    for (const connection of [admin, ...others]) await connection.close();
    await database.close();
  }, 60_000);

  /** As the functions do it: the lock, then the insert, in a transaction left open. */
  async function beginEntry(connection: DirectSql, action: string, ageMs = 0): Promise<void> {
    await connection.query("begin");
    await connection.query("select mailer.lock_journal()");
    await connection.query(
      `insert into mailer.journal (owner_id, actor, action, at) values
       ('other', 'other', $1, clock_timestamp() - $2::int * interval '1 ms')`,
      [action, ageMs],
    );
  }

  async function readAfter(after: number): Promise<{ position: number; action: string }[]> {
    return sealedEntries(database, { after, limit: 10_000 });
  }

  async function endPosition(): Promise<number> {
    while ((await journal.seal(1_000)).hasMore);
    return (await readAfter(0)).at(-1)?.position ?? 0;
  }

  test("is not read while a transaction holds the journal, and afterwards takes all of it", async () => {
    const [slow] = others as [DirectSql];
    const boundary = async () =>
      (await admin.query("select mailer.journal_boundary()::int as id"))[0]?.id;
    await beginEntry(slow, "test.held");
    expect(await boundary()).toBeNull();
    await slow.query("commit");
    const [row] = await admin.query("select max(id)::int as id from mailer.journal");
    expect(await boundary()).toBe(row?.id);
  });

  test("is held for its instant only: while the sealer has not committed, writers commit", async () => {
    const [sealer] = others as [DirectSql];
    await store(emails, [newEmail()]);
    await sealer.query("begin");
    const [answer] = await sealer.query(
      `select mailer_api.call_as('{"role":"sealer","sub":"test"}', 'seal_journal',
         '{"limit":1000}')::json as sealed`,
    );
    expect(answer?.sealed).toMatchObject({ has_more: false, is_busy: false });
    // Would wait for the lock and run into its lock_timeout.
    await store(emails, [newEmail()]);
    expect(await journal.seal(1_000)).toMatchObject({ sealed: 0, isBusy: true });
    await sealer.query("rollback");
    expect((await journal.seal(1_000)).isBusy).toBe(false);
  });

  test("is not waited for longer than its patience: others' entries come, the slow one after", async () => {
    const [slow] = others as [DirectSql];
    const start = await endPosition();
    await beginEntry(slow, "test.slow");
    await store(emails, [newEmail()]);
    const startedAt = performance.now();
    expect(await journal.seal(1_000)).toMatchObject({ sealed: 1, isBusy: false });
    expect(performance.now() - startedAt).toBeLessThan(3_000);
    const before = await readAfter(start);
    expect(before.map(({ action }) => action)).toEqual(["email.scheduled"]);
    await slow.query("commit");
    expect((await journal.seal(1_000)).sealed).toBe(1);
    const after = await readAfter(start + 1);
    expect(after).toMatchObject([{ position: start + 2, action: "test.slow" }]);
  });

  test("holds nobody up who writes while a slow transaction makes the sealer wait", async () => {
    const [slow] = others as [DirectSql];
    await endPosition();
    await beginEntry(slow, "test.slow");
    await store(emails, [newEmail()]);
    const sealing = journal.seal(1_000);
    // Behind a lock that is waited for without end this would take until the commit below.
    for (let count = 0; count < 20; count += 1) await store(emails, [newEmail()]);
    await sealing;
    await slow.query("commit");
  });

  test("an entry that nobody waited for is sealed once it is there, however long that takes", async () => {
    const [slow] = others as [DirectSql];
    const start = await endPosition();
    await beginEntry(slow, "test.straggler", 1_000);
    await store(emails, [newEmail()]);
    expect((await journal.seal(1_000)).sealed).toBe(1);
    // As after minutes: its gap is kept for as long as its transaction lives.
    await admin.query("update mailer.journal_gaps set seen_at = now() - interval '10 minutes'");
    expect((await journal.seal(1_000)).sealed).toBe(0);
    await slow.query("commit");
    expect((await journal.seal(1_000)).sealed).toBe(1);
    expect((await readAfter(start)).map(({ action }) => action)).toEqual([
      "email.scheduled",
      "test.straggler",
    ]);
  });

  test("ids that no entry got are forgotten once their transactions have ended", async () => {
    const [failed] = others as [DirectSql];
    await endPosition();
    await admin.query("delete from mailer.journal_gaps");
    await beginEntry(failed, "test.failed");
    await failed.query("rollback");
    await store(emails, [newEmail()]);
    await journal.seal(1_000);
    const gaps = "select to_id - from_id + 1 as ids from mailer.journal_gaps";
    expect(await admin.query(gaps)).toEqual([{ ids: "1" }]);
    await admin.query("update mailer.journal_gaps set seen_at = now() - interval '10 minutes'");
    await journal.seal(1_000);
    expect(await admin.query(gaps)).toEqual([]);
  });

  test("whatever order transactions begin, commit and abort in, a cursor misses nothing", async () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ kind: fc.constant("begin"), at: fc.nat(2) }) },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant("commit"), at: fc.nat(2) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("rollback"), at: fc.nat(2) }) },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant("seal"), at: fc.nat(2) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("read"), at: fc.nat(2) }) },
    );
    let count = 0;
    let cursor = await endPosition();
    const committed = new Set<string>();

    /** Everything behind the cursor comes in order, and each entry for the first time. */
    async function readOn(): Promise<void> {
      for (const { position, action } of await readAfter(cursor)) {
        expect(position).toBe(cursor + 1);
        expect(committed.delete(action)).toBe(true);
        cursor = position;
      }
    }

    const run = async (steps: { kind: string; at: number }[]) => {
      const open: (string | null)[] = [null, null, null];
      const end = async (at: number, how: string) => {
        if (open[at] == null) return;
        await others[at]?.query(how);
        if (how === "commit") committed.add(open[at]);
        open[at] = null;
      };
      for (const { kind, at } of steps) {
        if (kind === "begin" && open[at] === null) {
          count += 1;
          open[at] = `test.${count}`;
          // Old enough that the sealer has no patience left: the hardest case, and quick.
          await beginEntry(others[at] as DirectSql, open[at], 1_000);
        } else if (kind === "commit" || kind === "rollback") await end(at, kind);
        else if (kind === "seal") await journal.seal(at + 1);
        else if (kind === "read") await readOn();
      }
      for (const at of [2, 0, 1]) await end(at, "commit");
      while ((await journal.seal(2)).hasMore);
      await readOn();
      expect([...committed]).toEqual([]);
    };
    const steps = fc.array(step, { minLength: 5, maxLength: 30 });
    await fc.assert(fc.asyncProperty(steps, run), { numRuns: 25, endOnFailure: true });
  }, 120_000);
});
