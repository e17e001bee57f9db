import { afterAll, beforeAll, expect, test } from "bun:test";
import { until } from "../testing/child-server.ts";
import { freshDatabase } from "../testing/fresh-database.ts";
import { newEmail, store } from "../testing/new-email.ts";
import { runOnce } from "../testing/postgres-server.ts";
import { createAttempts } from "./attempts.ts";
import { createEmails } from "./emails.ts";
import { createPostgresDatabase } from "./postgres-database.ts";

let url: string;
beforeAll(async () => {
  ({ url } = await freshDatabase());
}, 60_000);

/** By what way PostgreSQL found rows of a table since the database was made. */
async function scansOf(table: string): Promise<{ whole: number; byIndex: number }> {
  const sql = `select seq_scan as whole, idx_scan as by_index from pg_stat_user_tables
    where schemaname = 'mailer' and relname = '${table}'`;
  const [row] = await runOnce(url, sql);
  return { whole: Number(row?.whole), byIndex: Number(row?.by_index) };
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
  const emails = createEmails(database);
  const attempts = createAttempts(database, {
    workerId: Bun.randomUUIDv7(),
    region: "local",
    transport: "smtp.example:25",
    horizonMs: 600_000,
  });
  for (let n = 0; n < 12; n++) {
    const drafts = Array.from({ length: 20 }, () => newEmail());
    await store(emails, drafts);
    for (const { id } of drafts.slice(0, 2)) {
      const answer = await attempts.claim(id, 1);
      if (answer.kind !== "claimed") throw new Error(answer.kind);
      const { token, recipients } = answer.email;
      expect(await attempts.fence(id, token, new Date())).toEqual({ granted: true });
      const sent = recipients.map(({ position }) => ({
        position,
        status: "sent" as const,
        smtpCode: 250,
        enhancedCode: null,
        reply: null,
      }));
      const settled = await attempts.settle({
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
      });
      expect(settled).toMatchObject({ applied: true });
    }
  }
  // A connection tells what it counted when it ends, at the latest.
  await database.close();
  await until("the counts are there", async () => (await scansOf("contents")).byIndex > 24);
  for (const table of ["emails", "contents", "recipients"]) {
    const { whole, byIndex } = await scansOf(table);
    expect([table, whole, byIndex > 24]).toEqual([table, 0, true]);
  }
  expect((await scansOf("attempts")).whole).toBe(0);
}, 60_000);
