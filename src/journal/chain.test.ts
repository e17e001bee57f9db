import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createEmails } from "../store/emails.ts";
import { createJournal, type Journal, type ProvenEntry } from "../store/journal.ts";
import { newEmail, store } from "../testing/fixtures/new-email.ts";
import { headOf, sealedEntries } from "../testing/fixtures/sealed-entries.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { type ChainVerdict, verifyChain } from "./verify.ts";

/** The chain as the database makes it, against the verifier that knows nothing of SQL. */
describe.each(drivers)("the chain of an owner on $driver", ({ open }) => {
  let opened: OpenDatabase;
  let sql: DirectSql;
  let journal: Journal;
  const ownerId = 'Zoë "the owner" \\ 漢字';

  beforeAll(async () => {
    opened = await open();
    sql = await directSql(opened.database);
    journal = createJournal(opened.database);
    const emails = createEmails(opened.database);
    for (const origin of [null, "2001:db8::1", "198.51.100.7"]) {
      const drafts = [newEmail(), newEmail(), newEmail()];
      await store(emails, drafts, { ownerId, actor: ownerId, origin });
      await store(emails, [newEmail()], { ownerId: "somebody else" });
      // In several rounds: the chain goes on from the head of the round before.
      while ((await journal.seal(2)).hasMore);
    }
  }, 60_000);
  afterAll(async () => {
    await sql.close();
    await opened.close();
  });

  async function verify(): Promise<ChainVerdict> {
    const entries: ProvenEntry[] = [];
    for (;;) {
      const after = entries.at(-1)?.position ?? 0;
      const page = await sealedEntries(opened.database, { after, limit: 4, ownerId });
      entries.push(...page);
      if (page.length > 0) continue;
      return verifyChain({ ownerId, entries, ...(await headOf(opened.database, ownerId)) });
    }
  }

  /** Does what only the owner of the table can: past the triggers. Undone afterwards. */
  async function tampered(statement: string): Promise<ChainVerdict> {
    for (const table of ["journal", "seals"]) {
      await sql.query(`create table mailer.kept_${table} as select * from mailer.${table}`);
      await sql.query(`alter table mailer.${table} disable trigger user`);
    }
    try {
      await sql.query(statement, [ownerId]);
      return await verify();
    } finally {
      for (const table of ["journal", "seals"]) {
        await sql.query(`delete from mailer.${table}`);
        await sql.query(
          `insert into mailer.${table} overriding system value select * from mailer.kept_${table}`,
        );
        await sql.query(`alter table mailer.${table} enable trigger user`);
        await sql.query(`drop table mailer.kept_${table}`);
      }
    }
  }

  test("verifies, to the head that the database keeps", async () => {
    expect(await verify()).toMatchObject({ ok: true, checked: 9, head: { number: 9 } });
  });

  const own = "owner_id = $1 and number";
  const entry = (number: number) =>
    `id = (select entry_id from mailer.seals where owner_id = $1 and number = ${number})`;
  test.each([
    [5, "hash", `update mailer.journal set action = 'email.sent' where ${entry(5)}`],
    [5, "hash", `update mailer.journal set detail = '{"status":"sent"}' where ${entry(5)}`],
    [2, "hash", `update mailer.journal set at = at + interval '1 us' where ${entry(2)}`],
    [3, "hash", `update mailer.journal set actor = 'x' where ${entry(3)}`],
    [1, "hash", `update mailer.journal set origin = 'x' where ${entry(1)}`],
    [9, "hash", `update mailer.seals set hash = sha256('x') where ${own} = 9`],
    [7, "missing", `delete from mailer.seals where ${own} = 7`],
    [7, "missing", `delete from mailer.journal where ${entry(7)}`],
    [8, "missing", `delete from mailer.seals where ${own} >= 8`],
    [1, "missing", "delete from mailer.journal where owner_id = $1"],
    [6, "missing", `update mailer.seals set owner_id = 'somebody else ' where ${own} = 6`],
    [6, "hash", `update mailer.journal set email_id = gen_random_uuid() where ${entry(6)}`],
  ] as const)(
    "tampered with at number %d is found there: %s, by %s",
    async (number, reason, statement) => {
      expect(await tampered(statement)).toMatchObject({ ok: false, firstBroken: number, reason });
      expect(await verify()).toMatchObject({ ok: true });
    },
  );
});
