import { afterAll, beforeAll, expect, test } from "bun:test";
import { until } from "../testing/child-server.ts";
import { freshDatabase } from "../testing/fresh-database.ts";
import { newEmail, store } from "../testing/new-email.ts";
import { runOnce } from "../testing/postgres-server.ts";
import { createAttempts, type Settlement } from "./attempts.ts";
import { createEmails } from "./emails.ts";
import { createHeldClaims } from "./held-claims.ts";
import { createPostgresDatabase } from "./postgres-database.ts";

let url: string;
beforeAll(async () => {
  ({ url } = await freshDatabase());
}, 60_000);

/** How PostgreSQL found rows of a table since the database was made: `read` is what indexes gave. */
async function scansOf(table: string) {
  const sql = `select max(t.seq_scan) as whole, max(t.idx_scan) as by_index,
      sum(i.idx_tup_read) as read
    from pg_stat_user_tables t join pg_stat_user_indexes i using (relid)
    where t.schemaname = 'mailer' and t.relname = '${table}'`;
  const [row] = await runOnce(url, sql);
  return { whole: Number(row?.whole), byIndex: Number(row?.by_index), read: Number(row?.read) };
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
  const attempts = createAttempts(database, { ...claimant, horizonMs: 600_000 });
  const auditor = { ...claimant, workerId: Bun.randomUUIDv7(), horizonMs: 600_000 };
  const heldClaims = createHeldClaims(database, auditor);
  for (let n = 0; n < 12; n++) {
    const drafts = Array.from({ length: 20 }, () => newEmail());
    await store(emails, drafts);
    // Many are being sent, or were since the last vacuum.
    await store(
      emails,
      Array.from({ length: 20 }, () => newEmail({ isClaimed: true })),
    );
    const [forgotten] = drafts.slice(2);
    const lost = await createAttempts(database, auditor).claim(forgotten?.id ?? "", 1);
    if (lost.kind !== "claimed") throw new Error(lost.kind);
    const { id: lostId, token: lostToken } = lost.email;
    expect(await heldClaims.list([])).toEqual([]);
    const claims = await heldClaims.list([lostId]);
    expect(claims).toEqual([{ id: lostId, token: lostToken, isFenced: false }]);
    expect((await heldClaims.end(claims)).returned.map(({ id }) => id)).toEqual([lostId]);
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
