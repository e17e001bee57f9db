import { afterAll, beforeAll, expect, test } from "bun:test";
import pg from "pg";
import { claimedOne } from "../testing/fixtures/claim-one.ts";
import { adminClaims, newEmail, store } from "../testing/fixtures/new-email.ts";
import { until } from "../testing/servers/child-server.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { createAttempts } from "./attempts.ts";
import { type Database, partClaims } from "./database.ts";
import { createEmails } from "./emails.ts";
import { createPauses } from "./pauses.ts";
import { createPostgresDatabase } from "./postgres-database.ts";

let url: string;
let database: Database;
beforeAll(async () => {
  ({ url } = await freshDatabase());
  database = createPostgresDatabase({ url });
}, 60_000);
afterAll(() => database?.close());

test("a pause returns when every fence that did not see it has ended, and the next sees it", async () => {
  const claimant = { workerId: Bun.randomUUIDv7(), region: "local", transport: "sink" };
  const attempts = createAttempts(database, claimant);
  const drafts = [newEmail(), newEmail()];
  for (const draft of drafts) await store(createEmails(database), [draft]);
  const [one, other] = [
    await claimedOne(database, attempts, drafts[0]?.id ?? ""),
    await claimedOne(database, attempts, drafts[1]?.id ?? ""),
  ];
  const fence = ({ id, token }: typeof one) =>
    database.rpc(
      "fence_attempts",
      [{ id, token, message_date: new Date(), transport: "sink", region: "local", waits: true }],
      partClaims("worker"),
    );
  const sql = new pg.Client({ connectionString: url });
  await sql.connect();
  const ended: string[] = [];
  try {
    await sql.query("begin");
    await sql.query("select from mailer.emails where id = $1 for update", [one.id]);
    const fenced = fence(one).finally(() => ended.push("fence"));
    await until("the fence waits for the row, and has looked for pauses", async () => {
      const { rowCount } = await sql.query(
        `select from pg_catalog.pg_locks l where not l.granted and l.locktype in
          ('transactionid', 'tuple')`,
      );
      return rowCount === 1;
    });
    const target = { kind: "owner", name: one.ownerId, reason: "a flood" } as const;
    const pausing = createPauses(database)
      .pause(target, { claims: adminClaims, origin: null })
      .finally(() => ended.push("pause"));
    await Bun.sleep(50);
    await sql.query("rollback");
    expect(await fenced).toEqual([{ granted: true }]);
    await pausing;
  } finally {
    await sql.end();
  }
  expect(ended).toEqual(["fence", "pause"]);
  expect(await fence(other)).toEqual([{ granted: false, reason: "paused" }]);
});
