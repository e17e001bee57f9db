import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import pg from "pg";
import { claimedOne } from "../testing/fixtures/claim-one.ts";
import { newEmail, store } from "../testing/fixtures/new-email.ts";
import { joinRegion } from "../testing/product/region-process.ts";
import { until } from "../testing/servers/child-server.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { runOnce } from "../testing/servers/postgres-server.ts";
import { createEmails } from "./emails.ts";

/** How PostgreSQL found emails since the database was made: `read` is what indexes gave. */
async function scansOf(url: string) {
  const sql = `select max(t.seq_scan) as whole, max(t.idx_scan) as by_index,
      sum(i.idx_tup_read) as read
    from pg_stat_user_tables t join pg_stat_user_indexes i using (relid)
    where t.schemaname = 'mailer' and t.relname = 'emails'`;
  const [row] = await runOnce(url, sql);
  return { whole: Number(row?.whole), byIndex: Number(row?.by_index), read: Number(row?.read) };
}

test("how long an email has been due is read off the ends of indexes, however many wait", async () => {
  const stored = `insert into mailer.emails (id, owner_id, region, created_at, scheduled_at,
      next_attempt_at, age_from, on_late, on_uncertain, max_retries, max_age_seconds,
      message_bytes, due_since, returned_until)
    select gen_random_uuid(), 'ada', 'region-' || n % 3, now(), now(), t.at, now(), 'send',
      'retry', 5, 3600, 1, case when n % 10 = 0 then t.at - interval '1 hour' end,
      case when n % 10 = 0 then t.at end
    from generate_series(1, 5000) n, lateral (select now() - n * interval '1 ms' as at) t`;
  const { url } = await freshDatabase();
  await runOnce(url, stored);
  const scans = () => scansOf(url);
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  for (const region of [null, "region-1"]) {
    const { rows } = await client.query("select mailer.oldest_due($1) as since", [region]);
    expect(Date.now() - rows[0].since.getTime()).toBeGreaterThan(3_600_000);
  }
  await client.end();
  // A connection tells what it counted when it ends, at the latest.
  await until("the counts are there", async () => (await scans()).byIndex >= 10);
  const { whole, read } = await scans();
  expect([whole, read < 100]).toEqual([0, true]);
}, 60_000);

describe.each(drivers)("how long an email has been due on $driver", ({ open }) => {
  let opened: OpenDatabase;
  let sql: DirectSql;
  beforeAll(async () => {
    opened = await open();
    sql = await directSql(opened.database);
  }, 60_000);
  afterAll(async () => {
    await sql.close();
    await opened.close();
  }, 30_000);

  test("given back without an attempt it is due since its own time; a retry is not due", async () => {
    const { presence, attempts } = await joinRegion(opened.database, "returned");
    const draft = newEmail({ region: "returned" });
    await store(createEmails(opened.database), [draft]);
    const oldest = async () => (await presence.regionStatus(10)).oldestDueMs;
    const claim = () => claimedOne(opened.database, attempts, draft.id);
    const giveBack = async (reason: string) => {
      const { id, token } = await claim();
      return await attempts.release({ id, token, reason, delayMs: 60_000 });
    };
    const age = () =>
      sql.query(
        `update mailer.emails set next_attempt_at = next_attempt_at - interval '60 seconds',
           returned_until = returned_until - interval '60 seconds',
           due_since = due_since - interval '60 seconds' where region = 'returned'`,
      );
    await age();
    await giveBack("transport_unreachable");
    expect(await oldest()).toBeGreaterThanOrEqual(60_000);
    // Returned again after the wait, and while it is tried: still since its own time.
    await age();
    await giveBack("transport_unreachable");
    expect(await oldest()).toBeGreaterThanOrEqual(120_000);
    await age();
    const { id, token } = await claim();
    expect(await oldest()).toBeGreaterThanOrEqual(180_000);
    await attempts.settle({
      id,
      token,
      transport: "capture",
      outcome: "deferred",
      nextState: "pending",
      retryInMs: 60_000,
      smtpCode: 451,
      enhancedCode: null,
      reply: null,
      recipients: [],
    });
    expect(await oldest()).toBe(0);
    // A domain's own back-off is that mail's retry.
    await age();
    await giveBack("destination_backed_off");
    expect(await oldest()).toBe(0);
  });
});
