import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { cp, rename, rm } from "node:fs/promises";
import { adminClaims, newEmail, store } from "../testing/fixtures/new-email.ts";
import { privateFolder } from "../testing/servers/child-server.ts";
import { directSql } from "../testing/servers/direct-sql.ts";
import { restorePostgres } from "../testing/servers/dump.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { migrateAt } from "../testing/servers/migrate-at.ts";
import {
  type PostgresServer,
  runOnce,
  sharedPostgres,
  startPostgres,
} from "../testing/servers/postgres-server.ts";
import { createSupabaseRoles } from "../testing/servers/supabase-server.ts";
import { createAttempts } from "./attempts.ts";
import { type Database, partClaims } from "./database.ts";
import { createEmails } from "./emails.ts";
import { createOrigin } from "./origin.ts";
import { createPauses } from "./pauses.ts";
import { openPgliteDatabase } from "./pglite-database.ts";
import { createPostgresDatabase } from "./postgres-database.ts";
import { createPresence } from "./presence.ts";

setDefaultTimeout(120_000);

const region = "local";
const by = { claims: adminClaims, origin: null };
const claimant = { workerId: crypto.randomUUID(), region, transport: "capture" };

/** A program's parts on a database, as far as they matter here. */
function partsOf(database: Database) {
  const attempts = createAttempts(database, claimant);
  const asked = { region, limit: 50, aheadMs: 0, perOwner: 50, holds: {}, after: "" };
  const options = { ...claimant, role: "all", replyTimeoutMs: 1_000, deadAfterMs: 5_000 } as const;
  return {
    emails: createEmails(database, claimant),
    origin: createOrigin(database, { region }),
    pauses: createPauses(database),
    presence: createPresence(database, options),
    claim: () => attempts.claimDue({ ...asked, suspects: true }),
  };
}

/** A database that was served for a while: one email is due, another one an hour ahead. */
async function serve(database: Database) {
  const { origin, presence, emails } = partsOf(database);
  expect(await origin.check()).toEqual({ isNew: false, isPaused: false });
  await presence.beat();
  const ahead = newEmail({ scheduledAt: new Date(Date.now() + 3_600_000) });
  const due = newEmail({ scheduledAt: new Date(Date.now() - 1_000) });
  await store(emails, [due, ahead]);
  // The moment up to which a dump of it knows what was sent.
  await presence.beat();
  expect(await origin.check()).toEqual({ isNew: false, isPaused: false });
  return { due: due.id, ahead: ahead.id };
}

/** What a copy of `serve`'s database says and does at its first start. */
async function expectPaused(database: Database, due: string) {
  const { origin, pauses, claim } = partsOf(database);
  expect(await origin.check()).toEqual({ isNew: true, isPaused: true });
  expect(await origin.check()).toEqual({ isNew: false, isPaused: true });
  const [pause, ...others] = await pauses.list();
  expect(others).toEqual([]);
  expect(pause).toMatchObject({ kind: "database", restored: { count: 1, first: { id: due } } });
  expect(await claim()).toMatchObject({ isPaused: true, emails: [] });
  // Not for a resume of the region, which a person types without having read anything.
  expect(await pauses.resume({ kind: "region", name: region }, by)).toBe(false);
  expect(await claim()).toMatchObject({ isPaused: true });
}

let other: PostgresServer;
beforeAll(async () => {
  other = await startPostgres();
});
afterAll(() => other?.stop());

const opened: Database[] = [];
afterAll(() => Promise.all(opened.map((each) => each.close())));
function open(url: string): Database {
  const database = createPostgresDatabase({ url });
  opened.push(database);
  return database;
}

test("a dump restored on another server sends nothing; hold keeps what was due, the rest goes on", async () => {
  const original = await freshDatabase();
  const { due, ahead } = await serve(open(original.url));
  const url = await other.createDatabase("restored");
  // Our databases are made as on Supabase.
  await createSupabaseRoles(url);
  // Makes the roles that the dump's objects belong to.
  await migrateAt(url);
  await restorePostgres(original.url, url, "--clean", "--if-exists");

  const database = open(url);
  await expectPaused(database, due);
  const { emails, pauses, claim } = partsOf(database);
  const later = newEmail({ scheduledAt: new Date() });
  await store(emails, [later]);
  const decided = { decision: "hold", reason: "last night's dump" } as const;
  expect(await pauses.resumeRestored(decided, by)).toEqual({ wasPaused: true, held: 1 });
  expect(await pauses.list()).toEqual([]);
  // An email that was accepted after the restore was never sent by anybody.
  expect((await claim()).emails.map(({ id }) => id)).toEqual([later.id]);
  expect((await emails.get(due, adminClaims))?.status).toBe("held");
  expect((await emails.get(ahead, adminClaims))?.status).toBe("pending");
  expect(await pauses.resumeRestored(decided, by)).toEqual({ wasPaused: false, held: 0 });

  const sql = await directSql(database);
  const rows = await sql.query(
    "select action, detail from mailer.journal where action in ('database.restored', 'email.held', 'sending.resumed') order by id",
  );
  await sql.close();
  expect(rows).toMatchObject([
    { action: "database.restored", detail: { by: expect.arrayContaining(["system"]) } },
    { action: "email.held", detail: { reason: "restored" } },
    { action: "sending.resumed", detail: { decision: "hold", reason: "last night's dump" } },
  ]);
  // The gate still belongs to a role that row-level security holds for.
  const [gate] = await runOnce(
    url,
    "select proowner::regrole::text as owner from pg_proc where proname = 'call_as'",
  );
  expect(gate).toEqual({ owner: "mailer_service" });
});

test("a copy on the same server is told, and send sends what was due", async () => {
  const original = await freshDatabase();
  const first = createPostgresDatabase({ url: original.url });
  const { due } = await serve(first);
  await first.close();
  const server = await sharedPostgres();
  const database = open(await server.createDatabase(`${original.name}_copy`, original.name));
  await expectPaused(database, due);
  const { pauses, claim } = partsOf(database);
  expect(await pauses.resumeRestored({ decision: "send" }, by)).toEqual({
    ...{ wasPaused: true, held: 0 },
  });
  expect((await claim()).emails.map(({ id }) => id)).toEqual([due]);
  // And the original goes on.
  expect(await partsOf(open(original.url)).origin.check()).toEqual({
    isNew: false,
    isPaused: false,
  });
});

test("a dump restored over the same database is told", async () => {
  const { url } = await freshDatabase();
  const { due } = await serve(open(url));
  await restorePostgres(url, url, "--clean", "--if-exists");
  await expectPaused(open(url), due);
});

test("a recovery to an earlier moment is told by its timeline, a failover is none", async () => {
  const { url } = await freshDatabase();
  const database = open(url);
  const { due } = await serve(database);
  const sql = await directSql(database);
  const rename = "update mailer.timelines set timeline = '0000000A'";
  await sql.query(rename);
  // A standby that was promoted: the others beat a moment ago.
  expect(await partsOf(database).origin.check()).toEqual({ isNew: false, isPaused: false });
  await sql.query("update mailer.workers set beat_at = beat_at - interval '1 hour'");
  await sql.query("alter table mailer.journal disable trigger user");
  await sql.query("update mailer.journal set at = at - interval '1 hour'");
  await sql.query(
    "update mailer.emails set created_at = created_at - interval '2 hours' where id = $1",
    [due],
  );
  await sql.close();
  await expectPaused(database, due);
});

test("a database without emails is not held up by being copied", async () => {
  const original = await freshDatabase();
  const first = createPostgresDatabase({ url: original.url });
  expect(await partsOf(first).origin.check()).toEqual({ isNew: false, isPaused: false });
  await first.close();
  const server = await sharedPostgres();
  const copy = open(await server.createDatabase(`${original.name}_empty`, original.name));
  expect(await partsOf(copy).origin.check()).toEqual({ isNew: false, isPaused: false });
});

test("the folder of an embedded database is told from its copy, and not when it was renamed", async () => {
  const dataDir = privateFolder("origin");
  const first = await openPgliteDatabase({ dataDir });
  const { due } = await serve(first);
  await first.close();
  const [moved, copied] = [`${dataDir}-moved`, `${dataDir}-copied`];
  await rename(dataDir, moved);
  await cp(moved, copied, { recursive: true, preserveTimestamps: true });

  const renamed = await openPgliteDatabase({ dataDir: moved });
  expect(await partsOf(renamed).origin.check()).toEqual({ isNew: false, isPaused: false });
  await renamed.close();
  const copy = await openPgliteDatabase({ dataDir: copied });
  await expectPaused(copy, due);
  await copy.close();
  // It stays so over a restart.
  const again = await openPgliteDatabase({ dataDir: copied });
  expect(await partsOf(again).origin.check()).toEqual({ isNew: false, isPaused: true });
  await again.close();
  for (const folder of [moved, copied]) await rm(folder, { recursive: true });
});

test("webhooks of a restored database wait for the decision, too", async () => {
  const { url } = await freshDatabase();
  await serve(open(url));
  const database = open(url);
  const sql = await directSql(database);
  await sql.query(
    `insert into mailer.webhooks (id, owner_id, is_global, url, events, wrapped_key, secret, created_at, cursor)
     values (gen_random_uuid(), 'ada', true, 'https://example.test/', array['*'], 'k', 's', now(), 0)`,
  );
  await database.rpc("seal_journal", { limit: 100 }, partClaims("sealer"));
  const claim = async () => {
    const args = { worker_id: crypto.randomUUID(), limit: 10, lease_ms: 1 };
    const answer = await database.rpc("claim_webhooks", args, partClaims("webhooks"));
    return (answer as { webhooks: unknown[] }).webhooks.length;
  };
  await sql.query("update mailer.settings set value = '{\"system\":\"1\"}' where name = 'origin'");
  expect(await partsOf(database).origin.check()).toEqual({ isNew: true, isPaused: true });
  expect(await claim()).toBe(0);
  await partsOf(database).pauses.resumeRestored({ decision: "send" }, by);
  expect(await claim()).toBe(1);
  await sql.close();
});
