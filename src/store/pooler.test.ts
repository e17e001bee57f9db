import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { newEmail, store, userClaims } from "../testing/fixtures/new-email.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { migrateAt } from "../testing/servers/migrate-at.ts";
import { type PgBouncer, startPgBouncer } from "../testing/servers/pgbouncer.ts";
import { createEmails } from "./emails.ts";
import { poolsTransactions } from "./pooler.ts";
import { createPostgresDatabase } from "./postgres-database.ts";

let url: string;
const bouncers: PgBouncer[] = [];

async function bouncer(poolMode: "transaction" | "session"): Promise<string> {
  const started = await startPgBouncer(url, { poolMode });
  bouncers.push(started);
  return started.url;
}

beforeAll(async () => {
  ({ url } = await freshDatabase());
}, 60_000);
afterAll(async () => {
  for (const one of bouncers) await one.stop();
});

describe("a pooler in transaction mode", () => {
  test("is told from one in session mode and from the server itself", async () => {
    expect(await poolsTransactions(url)).toBe(false);
    expect(await poolsTransactions(await bouncer("session"))).toBe(false);
    expect(await poolsTransactions(await bouncer("transaction"))).toBe(true);
  });

  test("carries calls of many connections, of which none is answered with another's", async () => {
    const database = createPostgresDatabase({ url: await bouncer("transaction"), poolSize: 10 });
    const emails = createEmails(database);
    const drafts = Array.from({ length: 60 }, () => newEmail());
    await Promise.all(drafts.map((draft) => store(emails, [draft])));
    const read = await Promise.all(drafts.map(({ id }) => emails.get(id, userClaims("ada"))));
    expect(read.map((email) => email?.id)).toEqual(drafts.map(({ id }) => id));
    await database.close();
  });

  test("carries migrations of several servers that start at once", async () => {
    const pooled = await bouncer("transaction");
    const migration = { version: "99991231000000", name: "pooled", sql: "create table pooled ();" };
    const runs = [0, 1, 2].map(() => migrateAt(pooled, [migration]));
    expect((await Promise.all(runs)).flat()).toEqual([migration]);
  });
});
