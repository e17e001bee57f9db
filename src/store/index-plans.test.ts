import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { newEmail, store } from "../testing/fixtures/new-email.ts";
import { until } from "../testing/servers/child-server.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { runOnce } from "../testing/servers/postgres-server.ts";
import { createAttempts, type Settlement } from "./attempts.ts";
import { createEmails } from "./emails.ts";
import { createFigureReader } from "./figures.ts";
import { createHeldClaims } from "./held-claims.ts";
import { createPostgresDatabase } from "./postgres-database.ts";

let url: string;
beforeAll(async () => {
  ({ url } = await freshDatabase());
}, 60_000);

const due = {
  ...{ region: "local", aheadMs: 0, perOwner: 10_000, holds: {}, after: "", suspects: true },
};

/** How PostgreSQL found rows of a table since the database was made: `read` is what indexes gave. */
async function scansOf(table: string) {
  const sql = `select max(t.seq_scan) as whole, max(t.idx_scan) as by_index,
      sum(i.idx_tup_read) as read, sum(b.idx_blks_hit + b.idx_blks_read) as pages
    from pg_stat_user_tables t join pg_stat_user_indexes i using (relid)
      join pg_statio_user_indexes b using (indexrelid)
    where t.schemaname = 'mailer' and t.relname = '${table}'`;
  const [row] = await runOnce(url, sql);
  const { whole, by_index: byIndex, read, pages } = row ?? {};
  return {
    ...{ whole: Number(whole), byIndex: Number(byIndex) },
    ...{ read: Number(read), pages: Number(pages) },
  };
}

afterAll(async () => {
  const { pathname } = new URL(url);
  const admin = new URL(url);
  admin.pathname = "/postgres";
  await runOnce(admin.href, `drop database ${pathname.slice(1)}`);
});

test("no step of an email's way reads a whole table, though its plans are from an empty one", async () => {
  // One connection, so that the plans of the first email are those of the last.
  const database = createPostgresDatabase({ url, poolSize: 1 });
  const claimant = { workerId: Bun.randomUUIDv7(), region: "local", transport: "smtp.example:25" };
  const emails = createEmails(database, claimant);
  const attempts = createAttempts(database, claimant);
  const auditor = { ...claimant, workerId: Bun.randomUUIDv7() };
  const heldClaims = createHeldClaims(database, auditor);
  for (let n = 0; n < 12; n++) {
    const drafts = Array.from({ length: 20 }, () => newEmail());
    await store(emails, drafts);
    // Many are being sent, or were since the last vacuum.
    await store(
      emails,
      Array.from({ length: 20 }, () => newEmail({ isClaimed: true })),
    );
    const [lost] = (await createAttempts(database, auditor).claimDue({ ...due, limit: 1 })).emails;
    if (!lost) throw new Error("nothing was claimed");
    const { id: lostId, token: lostToken } = lost;
    expect(await heldClaims.list([])).toEqual([]);
    const claims = await heldClaims.list([lostId]);
    expect(claims).toEqual([{ id: lostId, token: lostToken, isFenced: false }]);
    expect(await heldClaims.end(claims)).toMatchObject({ returned: 1 });
    const batch = await attempts.claimDue({ ...due, limit: 2 });
    expect(batch.emails).toHaveLength(2);
    for (const { id, token, recipients } of batch.emails) {
      expect(await attempts.fence(id, token, new Date())).toEqual({ granted: true });
      const sent = recipients.map(({ position }) => ({
        position,
        status: "sent" as const,
        smtpCode: 250,
        enhancedCode: null,
        reply: null,
      }));
      const settlement = {
        id,
        token,
        transport: "smtp.example:25",
        outcome: "sent",
        nextState: "sent",
        retryInMs: null,
        smtpCode: 250,
        enhancedCode: null,
        reply: null,
        recipients: sent,
      } satisfies Settlement;
      expect(await attempts.settle(settlement)).toMatchObject({ applied: true });
      // As after a lost answer, and as by one who does not hold the email any more.
      expect(await attempts.settle(settlement)).toMatchObject({ applied: false });
    }
  }
  // A connection tells what it counted when it ends, at the latest.
  await database.close();
  await until("the counts are there", async () => (await scansOf("contents")).byIndex > 24);
  for (const table of ["emails", "contents", "recipients", "attempts"]) {
    const { whole, byIndex, read } = await scansOf(table);
    expect([table, whole, byIndex >= 24]).toEqual([table, 0, true]);
    // Nor a whole index: a look-up finds the one row it asks for, or its few siblings.
    expect(read).toBeLessThanOrEqual(2 * byIndex);
  }
}, 60_000);

/** Many emails at once, as they lie after an accept or a claim. */
const insert = (
  count: number,
  owner: string,
  state: string,
  due: string,
  home = "flood",
  at = url,
) =>
  runOnce(
    at,
    `set session_replication_role = replica;
     insert into mailer.emails (id, owner_id, region, created_at, scheduled_at, next_attempt_at,
       age_from, on_late, on_uncertain, max_retries, max_age_seconds, message_bytes, wrapped_key,
       sender, state, worker_id, claim_token, claimed_at)
     select gen_random_uuid(), ${owner}, '${home}', now(), now(), ${due}, now(), 'send', 'retry', 3,
       3600, 5, 'wrapped', 'sender', '${state}',
       case '${state}' when 'sending' then gen_random_uuid() end, 1, now()
     from generate_series(1, ${count}) n`,
  );

describe("claim_due", () => {
  const limit = 50;
  const worker = { workerId: Bun.randomUUIDv7(), region: "flood", transport: "smtp.example:25" };
  const asked = { ...due, region: "flood", limit };

  /** What the indexes of emails gave for each call, and whether the whole table was ever read. */
  async function readPerCall(calls: number, work: () => Promise<void>) {
    const before = await scansOf("emails");
    await work();
    await until("the counts are there", async () => {
      return (await scansOf("emails")).byIndex >= before.byIndex + 5 * calls;
    });
    const after = await scansOf("emails");
    return {
      whole: after.whole - before.whole,
      read: (after.read - before.read) / calls,
      pages: (after.pages - before.pages) / calls,
    };
  }

  test("looks in vain beside many that wait for hours, and reads hardly anything for it", async () => {
    const region = { region: "later" };
    await insert(80_000, "'owner-' || n % 100", "pending", "now() + interval '1 hour'", "later");
    // As a table is that has waited for a while: an index alone can answer for it.
    await runOnce(url, "vacuum (analyze) mailer.emails");
    const ada = { role: "user", sub: "owner-without-any" } as const;
    const calls = 10;
    const look = async () => {
      const database = createPostgresDatabase({ url, poolSize: 1 });
      const attempts = createAttempts(database, { ...worker, ...region });
      const emails = createEmails(database, worker);
      for (let call = 0; call < calls; call += 1) {
        const batch = await attempts.claimDue({ ...asked, ...region });
        expect([batch.emails.length, batch.hasMore]).toEqual([0, false]);
        expect((await emails.stats(ada)).waiting).toBe(0);
      }
      await database.close();
    };
    const { whole, read, pages } = await readPerCall(calls, look);
    expect(whole).toBe(0);
    expect(read).toBeLessThan(1_000);
    // Entries that do not fit are not counted as read; the whole index of owners would be a hundred pages more.
    expect(pages).toBeLessThan(100);
  }, 60_000);

  test("reads as much for a batch beside many that wait, are claimed or are sent as beside none", async () => {
    // While it analyzes the table, its snapshot keeps every index from forgetting what is dead.
    await runOnce(url, "alter table mailer.emails set (autovacuum_enabled = false)");
    await insert(20_000, "'flood'", "pending", "now() - n * interval '1 ms'");
    await insert(5_000, "'owner-' || n", "pending", "now() + interval '1 hour'");
    await insert(5_000, "'flood'", "sending", "now()");
    await insert(5_000, "'flood'", "sent", "now()");
    const claim = async (calls: number) => {
      // One connection, which tells what it counted when it ends.
      const database = createPostgresDatabase({ url, poolSize: 1 });
      const attempts = createAttempts(database, worker);
      for (let call = 0; call < calls; call += 1) {
        expect((await attempts.claimDue(asked)).emails).toHaveLength(limit);
      }
      await database.close();
    };
    const first = await readPerCall(2, () => claim(2));
    // A flood was claimed, and what is left of it in the indexes is not read over and over.
    const flood = await readPerCall(150, () => claim(150));
    const later = await readPerCall(2, () => claim(2));
    for (const { whole, read } of [first, flood, later]) {
      expect(whole).toBe(0);
      expect(read).toBeLessThan(20 * limit);
    }
  }, 60_000);
});

test("the figures for metrics count dead letters by their index alone", async () => {
  const { url: own } = await freshDatabase();
  await insert(30_000, "'owner-' || n", "sent", "now()", "dead", own);
  await insert(3_000, "'owner-' || n", "failed", "now()", "dead", own);
  await runOnce(own, "vacuum (analyze) mailer.emails");
  const seen = async () => {
    const sql = `select seq_scan::integer as whole, idx_tup_fetch::integer as rows,
        idx_scan::integer as scans
      from pg_stat_user_tables where schemaname = 'mailer' and relname = 'emails'`;
    const [row] = await runOnce(own, sql);
    return { whole: Number(row?.whole), rows: Number(row?.rows), scans: Number(row?.scans) };
  };
  const before = await seen();
  const calls = 5;
  const database = createPostgresDatabase({ url: own, poolSize: 1 });
  const figures = createFigureReader(database);
  for (let call = 0; call < calls; call += 1) {
    expect((await figures.read()).byStatus.failed).toBe(3_000);
  }
  await database.close();
  await until("the counts are there", async () => (await seen()).scans >= before.scans + calls);
  const { whole, rows } = await seen();
  expect([whole - before.whole, rows - before.rows]).toEqual([0, 0]);
}, 60_000);

test("a fence and a recipient's reply need no new entry in an index, in a flood too", async () => {
  const database = createPostgresDatabase({ url, poolSize: 1 });
  const claimant = { workerId: Bun.randomUUIDv7(), region: "hot", transport: "smtp.example:25" };
  const attempts = createAttempts(database, claimant);
  const changes = async (table: string) => {
    const [row] = await runOnce(
      url,
      `select n_tup_upd as all, n_tup_hot_upd as hot from pg_stat_user_tables
       where schemaname = 'mailer' and relname = '${table}'`,
    );
    return { all: Number(row?.all), hot: Number(row?.hot) };
  };
  const [emailsBefore, recipientsBefore] = [await changes("emails"), await changes("recipients")];
  const emails = createEmails(database, claimant);
  await store(
    emails,
    Array.from({ length: 400 }, () => newEmail({ region: "hot" })),
  );
  let sent = 0;
  while (sent < 400) {
    const batch = await attempts.claimDue({ ...due, region: "hot", limit: 100 });
    for (const { id, token, recipients } of batch.emails) {
      await attempts.fence(id, token, new Date());
      await attempts.settle({
        ...{ id, token, transport: "smtp.example:25", outcome: "sent", nextState: "sent" },
        ...{ retryInMs: null, smtpCode: 250, enhancedCode: null, reply: null },
        recipients: recipients.map(({ position }) => ({
          ...{ position, status: "sent", smtpCode: 250, enhancedCode: null, reply: null },
        })),
      } as Settlement);
      sent += 1;
    }
  }
  await database.close();
  // A connection that ends reports its counts table by table.
  await until(
    "the counts of both are there",
    async () =>
      (await changes("emails")).all >= emailsBefore.all + 1_200 &&
      (await changes("recipients")).all >= recipientsBefore.all + 400,
  );
  const [emailsAfter, recipientsAfter] = [await changes("emails"), await changes("recipients")];
  // Of claim, fence and settlement the fence alone changes no indexed column.
  expect((emailsAfter.hot - emailsBefore.hot) / 400).toBeGreaterThan(0.9);
  expect((recipientsAfter.hot - recipientsBefore.hot) / 400).toBeGreaterThan(0.9);
}, 60_000);
