import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { checkJournal } from "../journal/check-journal.ts";
import { createAttempts } from "../store/attempts.ts";
import { createAudit } from "../store/audit.ts";
import type { Database } from "../store/database.ts";
import { createEmails } from "../store/emails.ts";
import { createJournal } from "../store/journal.ts";
import { createMaintenance } from "../store/maintenance.ts";
import { createPostgresDatabase } from "../store/postgres-database.ts";
import { claimedOne } from "../testing/fixtures/claim-one.ts";
import { adminClaims, newEmail, store, userClaims } from "../testing/fixtures/new-email.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { runRetention } from "./retention.ts";

setDefaultTimeout(60_000);

const region = "local";
const dayMs = 86_400_000;
const claimant = { workerId: crypto.randomUUID(), region, transport: "capture" };

let database: Database;
let sql: DirectSql;
beforeAll(async () => {
  database = createPostgresDatabase({ url: (await freshDatabase()).url });
  sql = await directSql(database);
});
afterAll(async () => {
  await sql?.close();
  await database?.close();
});

const maintenance = () => createMaintenance(database, claimant);
const run = (contentDays: number | null, recordDays: number | null = null) =>
  runRetention(
    { maintenance: maintenance(), days: { contentDays, recordDays, journalDays: null } },
    { shred: null, drop: null },
  );

/** Stores emails as if it had been so many days ago; a function ends them. */
async function stored(count: number, daysAgo: number, ownerId: string) {
  const at = Date.now() - daysAgo * dayMs;
  const emails = Array.from({ length: count }, (_, n) =>
    newEmail({
      id: Bun.randomUUIDv7("hex", at + n),
      scheduledAt: new Date(Date.now() + 3_600_000),
    }),
  );
  await store(createEmails(database), emails, { ownerId, actor: ownerId });
  return emails.map(({ id }) => id);
}

async function cancelled(ids: readonly string[], ownerId: string): Promise<void> {
  for (const id of ids) await createEmails(database).cancel(id, userClaims(ownerId), null);
}

/** What happened to them, happened so many days earlier. */
async function age(ids: readonly string[], days: number): Promise<void> {
  await sql.query("alter table mailer.journal disable trigger user");
  await sql.query(
    "update mailer.journal set at = at - $2 * interval '1 day' where email_id = any ($1::uuid[])",
    [ids, days],
  );
  await sql.query("alter table mailer.journal enable trigger user");
}

async function seal(): Promise<void> {
  while ((await createJournal(database).seal(500)).hasMore);
}

async function countOf(table: string, ids: readonly string[]): Promise<number> {
  const key = table === "emails" ? "id" : "email_id";
  const query = `select count(*)::integer as n from mailer.${table} where ${key} = any ($1::uuid[])`;
  const [row] = await sql.query(query, [ids]);
  return Number(row?.n);
}

test("content goes so many days after an email has ended, and nothing of one that may still be sent", async () => {
  const owner = "content";
  const [old, waiting, recent] = [
    await stored(3, 100, owner),
    await stored(2, 100, owner),
    await stored(2, 100, owner),
  ];
  await cancelled([...old, ...recent], owner);
  await age([...old, ...waiting], 95);
  await seal();
  expect(await run(90)).toEqual({ shredded: 3, dropped: 0 });
  expect(await countOf("contents", old)).toBe(0);
  const emails = createEmails(database);
  expect(await emails.get(old[0] ?? "", adminClaims)).toMatchObject({
    ...{ status: "cancelled", subject: null, wrappedKey: null },
    recipients: [{ address: null, reply: null }],
  });
  // One made long ago that ended today has its days before it; one that waits is not touched.
  for (const ids of [recent, waiting]) expect(await countOf("contents", ids)).toBe(2);
  expect(await run(90)).toEqual({ shredded: 0, dropped: 0 });
  const [entry] = await sql.query(
    "select owner_id, detail from mailer.journal where action = 'retention.shredded'",
  );
  expect(entry).toEqual({
    owner_id: owner,
    detail: { count: 3, first_id: old[0], last_id: old[2] },
  });
});

test("records go with all that belongs to them; counts follow, and the journal verifies as before", async () => {
  const owner = "records";
  const ids = await stored(4, 400, owner);
  const [kept = "", ...gone] = ids;
  await cancelled(gone, owner);
  await age(ids, 399);
  await seal();
  const counts = async () =>
    await sql.query(
      "select counted, n::integer from mailer.email_counts where owner_id = $1 and day = '-infinity' and n <> 0",
      [owner],
    );
  expect(await counts()).toEqual(
    expect.arrayContaining([
      { counted: "pending", n: 1 },
      { counted: "cancelled", n: 3 },
    ]),
  );
  expect(await run(null, 365)).toEqual({ shredded: 0, dropped: 3 });
  for (const table of ["emails", "contents", "recipients", "attempts"]) {
    expect([table, await countOf(table, gone)]).toEqual([table, 0]);
  }
  expect(await countOf("emails", [kept])).toBe(1);
  expect(await counts()).toEqual([{ counted: "pending", n: 1 }]);
  expect(await countOf("journal", gone)).toBe(6);
  await seal();
  const audit = createAudit(database);
  const asked = { ownerId: owner, checkpoint: null, as: adminClaims };
  expect(await checkJournal(audit, asked)).toMatchObject({ ok: true });
});

test("an email whose entries are not sealed yet keeps its record: its counts are not written", async () => {
  const ids = await stored(1, 400, "unsealed");
  await cancelled(ids, "unsealed");
  await age(ids, 399);
  expect((await run(null, 365)).dropped).toBe(0);
  await seal();
  expect((await run(null, 365)).dropped).toBe(1);
});

test("while the sealer is at work nothing is deleted, and the next turn does it", async () => {
  const ids = await stored(1, 400, "busy");
  await cancelled(ids, "busy");
  await age(ids, 399);
  await seal();
  await sql.query("begin");
  await sql.query("select pg_advisory_xact_lock(7382640002)");
  expect(await maintenance().dropOld(365, null)).toEqual({ count: 0, after: null, isBusy: true });
  await sql.query("commit");
  expect((await run(null, 365)).dropped).toBe(1);
});

test("a row that somebody has locked is passed over, and a walk of many steps goes on where it was", async () => {
  const owner = "walk";
  const ids = await stored(1_100, 200, owner);
  await sql.query("alter table mailer.emails disable trigger user");
  await sql.query("update mailer.emails set state = 'cancelled' where id = any ($1::uuid[])", [
    ids,
  ]);
  await sql.query("alter table mailer.emails enable trigger user");
  await age(ids, 199);
  await sql.query("begin");
  await sql.query("select from mailer.emails where id = $1 for update", [ids[7]]);
  expect((await run(90)).shredded).toBe(1_099);
  await sql.query("commit");
  expect((await run(90)).shredded).toBe(1);
});

test("an email that is being sent is never touched, however long it has been", async () => {
  const at = Date.now() - 500 * dayMs;
  const due = newEmail({ id: Bun.randomUUIDv7("hex", at) });
  await store(createEmails(database), [due], { ownerId: "sending", actor: "sending" });
  await claimedOne(database, createAttempts(database, claimant), due.id);
  await age([due.id], 499);
  await seal();
  expect(await run(1, 1)).toMatchObject({ shredded: 0 });
  expect(await countOf("contents", [due.id])).toBe(1);
});

test("a long report keeps what it began with, and holds up neither retention nor an accept", async () => {
  const owner = "reported";
  const ids = await stored(40, 400, owner);
  await cancelled(ids, owner);
  await age(ids, 399);
  await seal();
  const report = await directSql(database);
  const seen: unknown[] = [];
  const fetch = async () => {
    const rows = await report.query("fetch 10 from report");
    seen.push(...rows);
    return rows.length;
  };
  try {
    await report.query("begin isolation level repeatable read read only");
    await report.query(
      `declare report cursor for
         select e.id, j.action, c.message from mailer.emails e
         join mailer.journal j on j.email_id = e.id
         join mailer.contents c on c.email_id = e.id
         where e.owner_id = '${owner}' order by j.id`,
    );
    expect(await fetch()).toBe(10);
    const began = performance.now();
    expect(await run(90, 365)).toEqual({ shredded: 40, dropped: 40 });
    await stored(1, 0, owner);
    // Each waits for a lock half a second at most, and would then say so.
    expect(performance.now() - began).toBeLessThan(30_000);
    expect(await countOf("emails", ids)).toBe(0);
    while ((await fetch()) > 0);
    // Accepted and cancelled, of each of them.
    expect(seen.length).toBe(80);
    await report.query("commit");
  } finally {
    await report.close();
  }
});
