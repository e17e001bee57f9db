import { afterAll, beforeAll, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { createLogger } from "../log.ts";
import type { Database } from "../store/database.ts";
import { createEmails } from "../store/emails.ts";
import { createJournal } from "../store/journal.ts";
import { createMaintenance } from "../store/maintenance.ts";
import { createPostgresDatabase } from "../store/postgres-database.ts";
import { newEmail, store, userClaims } from "../testing/fixtures/new-email.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { checkCounts } from "./check-counts.ts";

setDefaultTimeout(60_000);

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
beforeEach(() => sql.query("delete from mailer.settings where name = 'counts_checked_to'"));

const maintenance = () =>
  createMaintenance(database, { workerId: crypto.randomUUID(), region: "local" });
const seal = async () => {
  while ((await createJournal(database).seal(500)).hasMore);
};
const pause = async () => {};

/** One run, and what it logged. */
async function run(emailsMax?: number) {
  const lines: Record<string, unknown>[] = [];
  const stream = { write: (line: string) => void lines.push(JSON.parse(line)) };
  const log = createLogger({ level: "error", stream, isForPeople: false });
  const limit = emailsMax === undefined ? {} : { emailsMax };
  const result = await checkCounts({ maintenance: maintenance(), log, pause, ...limit });
  return { result, lines };
}

async function accepted(count: number, ownerId: string): Promise<string[]> {
  const later = new Date(Date.now() + 3_600_000);
  const drafts = Array.from({ length: count }, () => newEmail({ scheduledAt: later }));
  await store(createEmails(database), drafts, { ownerId, actor: ownerId });
  return drafts.map(({ id }) => id);
}

const counts = async (ownerId: string) => {
  const rows = await sql.query(
    "select counted, n::integer from mailer.email_counts where owner_id = $1 and day = '-infinity' and n <> 0",
    [ownerId],
  );
  return Object.fromEntries(rows.map(({ counted, n }) => [String(counted), Number(n)]));
};
const setCount = (ownerId: string, counted: string, n: number) =>
  sql.query(
    `insert into mailer.email_counts values ($1, $2, '-infinity', $3)
     on conflict (owner_id, counted, day) do update set n = excluded.n`,
    [ownerId, counted, n],
  );

test("counts that are wrong are repaired, logged as an error, and stand in the owner's journal", async () => {
  const [gone = ""] = await accepted(3, "ada");
  await createEmails(database).cancel(gone, userClaims("ada"), null);
  await accepted(2, "bob");
  await seal();
  await setCount("ada", "pending", 7);
  await sql.query("delete from mailer.email_counts where owner_id = 'ada' and counted = $1", [
    "cancelled",
  ]);
  await setCount("ada", "sent", 4);
  // Not sealed, hence not in the counts yet: no deviation.
  await accepted(1, "ada");
  const { result, lines } = await run();
  expect(result).toMatchObject({ owners: 2, emails: 6, repaired: 1, too_large: 0 });
  expect(lines).toMatchObject([
    { level: "error", owner: "ada", reason: expect.stringContaining("pending -5") },
  ]);
  expect(await counts("ada")).toEqual({ pending: 2, cancelled: 1 });
  await seal();
  expect(await counts("ada")).toEqual({ pending: 3, cancelled: 1 });
  const [entry] = await sql.query(
    "select owner_id, detail from mailer.journal where action = 'counts.repaired'",
  );
  expect(entry).toEqual({ owner_id: "ada", detail: { pending: -5, cancelled: 1, sent: -4 } });
  expect((await run()).result).toMatchObject({ owners: 2, repaired: 0 });
});

test("while emails are accepted, cancelled and sealed nothing deviates", async () => {
  const seen = { runs: 0, owners: 0, repaired: 0 };
  const until = performance.now() + 2_000;
  const isRunning = () => performance.now() < until || seen.runs < 4;
  const busy = async (ownerId: string) => {
    while (isRunning()) {
      const [one = ""] = await accepted(5, ownerId);
      await createEmails(database).cancel(one, userClaims(ownerId), null);
    }
  };
  const sealing = async () => {
    while (isRunning()) await createJournal(database).seal(7);
  };
  const checking = async () => {
    while (isRunning()) {
      const { result } = await run();
      seen.runs += 1;
      seen.owners += result.owners ?? 0;
      seen.repaired += result.repaired ?? 0;
    }
  };
  await Promise.all([busy("kim"), busy("lou"), sealing(), checking()]);
  expect(seen.repaired).toBe(0);
  expect(seen.runs).toBeGreaterThan(3);
  expect(seen.owners).toBeGreaterThanOrEqual(2 * seen.runs);
});

test("two at once repair a count once", async () => {
  await accepted(2, "max");
  await seal();
  await setCount("max", "pending", 0);
  await Promise.all([run(), run(), run()]);
  expect(await counts("max")).toEqual({ pending: 2 });
});

test("an owner with more emails than a step may count has its dead letters compared alone", async () => {
  const ids = await accepted(30, "zoe");
  await seal();
  await sql.query("alter table mailer.emails disable trigger user");
  await sql.query("update mailer.emails set state = 'failed' where id = any ($1::uuid[])", [
    ids.slice(0, 4),
  ]);
  await sql.query("alter table mailer.emails enable trigger user");
  await setCount("zoe", "pending", 99);
  await sql.query("insert into mailer.settings values ('counts_checked_to', 'zo')");
  const step = await maintenance().checkCounts({ owners: 9, emails: 10 });
  expect(step).toMatchObject({ owners: 1, inPart: 1, skipped: 0, isEnd: true, emails: 4 });
  expect(await counts("zoe")).toEqual({ pending: 99, failed: 4 });
  await sql.query("update mailer.settings set value = 'zo' where name = 'counts_checked_to'");
  await setCount("zoe", "failed", 1);
  expect(await maintenance().checkCounts({ owners: 9, emails: 3 })).toMatchObject({
    ...{ inPart: 0, skipped: 1, emails: 4 },
  });
  expect(await counts("zoe")).toEqual({ pending: 99, failed: 1 });
});

test("a step is bounded in owners and emails, and the next goes on after them, also elsewhere", async () => {
  for (const name of ["s1", "s2", "s3"]) await accepted(4, name);
  await seal();
  await sql.query("insert into mailer.settings values ('counts_checked_to', 's')");
  const step = (owners: number, emails: number) => maintenance().checkCounts({ owners, emails });
  expect(await step(1, 100)).toMatchObject({ owners: 1, emails: 4, isEnd: false });
  expect(await step(9, 4)).toMatchObject({ owners: 1, emails: 4, isEnd: false });
  await setCount("s3", "pending", 0);
  expect((await step(1, 100)).repaired).toEqual([{ ownerId: "s3", missing: { pending: 4 } }]);
});

test("what was accepted in the days before yesterday, which nobody reads, is deleted", async () => {
  await accepted(1, "old");
  await seal();
  await sql.query(
    `insert into mailer.email_counts select 'old', 'accepted', current_date - d, 5
     from generate_series(2, 9) d`,
  );
  await run();
  const days = await sql.query(
    "select n::integer from mailer.email_counts where owner_id = 'old' and counted = 'accepted'",
  );
  expect(days.length).toBeLessThanOrEqual(2);
  expect(days).toContainEqual({ n: 1 });
});
