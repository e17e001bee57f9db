import { afterAll, beforeAll, expect, test } from "bun:test";
import { claimedOne } from "../testing/fixtures/claim-one.ts";
import { adminClaims, newEmail, store } from "../testing/fixtures/new-email.ts";
import { joinRegion } from "../testing/product/region-process.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { runOnce } from "../testing/servers/postgres-server.ts";
import type { Database } from "./database.ts";
import { createEmails } from "./emails.ts";
import { createPostgresDatabase } from "./postgres-database.ts";

let url: string;
let database: Database;
beforeAll(async () => {
  ({ url } = await freshDatabase());
  database = createPostgresDatabase({ url });
}, 60_000);
afterAll(() => database.close());

test("a process whose row is gone leaves nothing: what it had fenced is an orphan", async () => {
  const emails = createEmails(database);
  const gone = await joinRegion(database, "gone");
  const drafts = [newEmail({ region: "gone" }), newEmail({ region: "gone" })];
  await store(emails, drafts);
  for (const [index, { id }] of drafts.entries()) {
    const { token } = await claimedOne(database, gone.attempts, id);
    if (index === 0) await gone.attempts.fence(id, token, new Date());
  }
  await runOnce(url, `delete from mailer.workers where id = '${gone.workerId}'`);
  await runOnce(
    url,
    `update mailer.emails set fenced_at = fenced_at - interval '13 minutes',
       claimed_at = claimed_at - interval '13 minutes' where region = 'gone'`,
  );
  const { presence } = await joinRegion(database, "gone");
  const { orphans } = await presence.takeOver({ everything: false });
  expect(orphans.map(({ id }) => id)).toEqual([drafts[0]?.id ?? ""]);
  expect((await emails.get(drafts[1]?.id ?? "", adminClaims))?.status).toBe("pending");
});
