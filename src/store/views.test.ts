import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createClient } from "@supabase/supabase-js";
import { SignJWT } from "jose";
import pg from "pg";
import { newEmail, recipientsOf, store } from "../testing/fixtures/new-email.ts";
import { rejection } from "../testing/fixtures/rejection.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { migrateAt } from "../testing/servers/migrate-at.ts";
import { type PostgresServer, runOnce, startPostgres } from "../testing/servers/postgres-server.ts";
import { publishableKey, supabaseJwtSecret } from "../testing/servers/supabase-keys.ts";
import { createSupabaseRoles, startSupabase } from "../testing/servers/supabase-server.ts";
import type { Database } from "./database.ts";
import { createEmails } from "./emails.ts";
import { createPostgresDatabase } from "./postgres-database.ts";

const scheduledAt = new Date("2040-01-01T00:00:00Z");
const ofAda = newEmail({
  scheduledAt,
  tags: ["invoice"],
  metadata: { order: 7 },
  recipients: recipientsOf(2),
});
const ofBob = newEmail({ scheduledAt });
const views = ["emails", "recipients", "events"];

/** Direct SQL, as PostgREST would run it for somebody, and as an attacker would. */
describe("the views of mailer_api, by direct SQL", () => {
  let client: pg.Client;
  let database: Database;
  let url: string;

  beforeAll(async () => {
    ({ url } = await freshDatabase());
    database = createPostgresDatabase({ url });
    client = new pg.Client({ connectionString: url });
    await client.connect();
    await store(createEmails(database), [ofAda]);
    await store(createEmails(database), [ofBob], { ownerId: "bob", actor: "bob" });
  }, 60_000);
  afterAll(async () => {
    await client.end();
    await database.close();
  });

  /** Runs one statement as a role with the claims that Supabase sets, and undoes it. */
  async function as(role: string, claims: Record<string, unknown> | null, sql: string) {
    await client.query("begin");
    try {
      await client.query(`set local role ${role}`);
      const text = claims === null ? "" : JSON.stringify(claims);
      await client.query("select set_config('request.jwt.claims', $1, true)", [text]);
      return (await client.query<Record<string, unknown>>(sql)).rows;
    } finally {
      await client.query("rollback");
    }
  }
  const ada = { role: "authenticated", sub: "ada", aud: "authenticated" };

  test("a signed-in user sees the status of its own emails, and no more of them", async () => {
    const rows = await as("authenticated", ada, "select * from mailer_api.emails");
    expect(rows).toEqual([
      {
        id: ofAda.id,
        status: "pending",
        region: "local",
        created_at: expect.any(Date),
        scheduled_at: scheduledAt,
        next_attempt_at: scheduledAt,
        sent_at: null,
        expires_at: null,
        attempts: 0,
        tags: ["invoice"],
        metadata: { order: 7 },
        version: 1,
      },
    ]);
  });

  test("of its recipients the place and the result, without an address", async () => {
    const rows = await as(
      "authenticated",
      ada,
      "select * from mailer_api.recipients order by position",
    );
    const nothingYet = { status: "pending", smtp_code: null, enhanced_code: null };
    expect(rows).toEqual([
      { email_id: ofAda.id, position: 0, kind: "to", ...nothingYet },
      { email_id: ofAda.id, position: 1, kind: "to", ...nothingYet },
    ]);
  });

  test("and what happened to them", async () => {
    const rows = await as("authenticated", ada, "select * from mailer_api.events");
    expect(rows).toMatchObject([{ email_id: ofAda.id, sequence: 1, action: "email.scheduled" }]);
    expect(Object.keys(rows[0] ?? {})).toEqual(["email_id", "sequence", "at", "action", "detail"]);
  });

  test.each(views)(
    "%s of a token without a sub, of another's, or of none are empty",
    async (view) => {
      const sql = `select * from mailer_api.${view}`;
      expect((await as("authenticated", { ...ada, sub: "bob" }, sql)).length).toBeGreaterThan(0);
      for (const claims of [{ role: "authenticated" }, { sub: "" }, { sub: "eve" }, null]) {
        expect(await as("authenticated", claims, sql)).toEqual([]);
      }
      const ofOthers = `${sql} where ${view === "emails" ? "id" : "email_id"} = '${ofBob.id}'`;
      expect(await as("authenticated", ada, ofOthers)).toEqual([]);
    },
  );

  test.each(views)("%s cannot be written", async (view) => {
    for (const sql of [
      `delete from mailer_api.${view}`,
      `update mailer_api.${view} set ${view === "emails" ? "region" : "email_id"} = null`,
      `insert into mailer_api.${view} default values`,
    ]) {
      expect(String(await rejection(as("authenticated", ada, sql)))).toMatch("permission denied");
    }
  });

  test("a signed-in user can call no function but the one the policies need", async () => {
    const claims = `'{"role":"service","sub":"x"}'`;
    const call = `select mailer_api.call_as(${claims}, 'clock', '{}')`;
    expect(String(await rejection(as("authenticated", ada, call)))).toMatch("permission denied");
    const { rows } = await client.query(
      `select p.oid::regprocedure::text as name from pg_proc p
       join pg_namespace n on n.oid = p.pronamespace
       where n.nspname in ('mailer', 'mailer_api')
         and has_function_privilege('authenticated', p.oid, 'execute')`,
    );
    expect(rows).toEqual([{ name: "mailer.claim_sub()" }]);
  });

  test("beneath the views it may read the columns they show, and nothing secret", async () => {
    const { rows } = await client.query(
      `select c.relname as "table", array_agg(a.attname::text order by a.attname) as columns
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
       join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
       where n.nspname = 'mailer' and c.relkind = 'r'
         and has_column_privilege('authenticated', c.oid, a.attnum, 'select')
       group by c.relname order by c.relname`,
    );
    expect(rows.map(({ table }) => table)).toEqual(["emails", "journal", "recipients"]);
    const columns = rows.flatMap((row) => row.columns);
    for (const secret of [
      "subject",
      "sender",
      "wrapped_key",
      "address",
      "address_index",
      "reply",
    ]) {
      expect(columns).not.toContain(secret);
    }
    const { rows: writable } = await client.query(
      `select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where n.nspname in ('mailer', 'mailer_api') and c.relkind in ('r', 'v')
         and (has_any_column_privilege('authenticated', c.oid, 'insert, update')
           or has_table_privilege('authenticated', c.oid, 'delete, truncate'))`,
    );
    expect(writable).toEqual([]);
    expect(
      String(await rejection(as("authenticated", ada, "select subject from mailer.emails"))),
    ).toMatch("permission denied");
  });

  test("row-level security alone keeps owners apart, since the views do not ask", async () => {
    const sql = "select owner_id from mailer.emails";
    expect(String(await rejection(as("authenticated", ada, sql)))).toMatch("permission denied");
    // Undone with the transaction: nobody else ever sees the role like this.
    await client.query("begin");
    try {
      await client.query("alter role authenticated bypassrls");
      await client.query("set local role authenticated");
      const { rows } = await client.query("select id from mailer_api.emails");
      expect(rows.length).toBe(2);
    } finally {
      await client.query("rollback");
    }
  });

  test("somebody who has not signed in sees nothing", async () => {
    for (const view of views) {
      const rows = as("anon", { role: "anon" }, `select * from mailer_api.${view}`);
      expect(String(await rejection(rows))).toMatch("permission denied");
    }
    expect(String(await rejection(as("anon", null, "select id from mailer.emails")))).toMatch(
      "permission denied",
    );
  });

  test("read with supabase-js, they are the rows of whoever's token it is", async () => {
    const server = await startSupabase({ databaseUrl: url });
    try {
      const token = await new SignJWT({ role: "authenticated" })
        .setProtectedHeader({ alg: "HS256" })
        .setSubject("ada")
        .setAudience("authenticated")
        .setExpirationTime("1 minute")
        .sign(new TextEncoder().encode(supabaseJwtSecret));
      const supabase = createClient(server.url, publishableKey, {
        accessToken: async () => token,
      }).schema("mailer_api");
      const emails = await supabase.from("emails").select("id, status").eq("status", "pending");
      expect(emails.data).toEqual([{ id: ofAda.id, status: "pending" }]);
      const events = await supabase.from("events").select("action").eq("email_id", ofBob.id);
      expect(events.data).toEqual([]);
    } finally {
      await server.stop();
    }
  }, 60_000);
});

describe("a PostgreSQL that is no Supabase", () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await startPostgres();
  }, 60_000);
  afterAll(() => server.stop(), 60_000);

  test("migrates all the same, and lets nobody use the views", async () => {
    const url = await server.createDatabase("plain");
    await migrateAt(url);
    const granted = await runOnce(
      url,
      `select distinct grantee from information_schema.role_table_grants
       where table_schema = 'mailer_api' and grantee <> current_user`,
    );
    expect(granted).toEqual([]);
    const policies = await runOnce(
      url,
      "select from pg_policies where policyname = 'own_rows_of_users'",
    );
    expect(policies).toEqual([]);
  }, 60_000);

  test("as on Supabase, somebody who is no superuser can migrate", async () => {
    await createSupabaseRoles(server.adminUrl);
    await runOnce(server.adminUrl, "drop database plain");
    await runOnce(
      server.adminUrl,
      `create role project login createrole;
       drop role mailer_owner, mailer_service, mailer_client;`,
    );
    const url = new URL(await server.createDatabase("project"));
    await runOnce(server.adminUrl, "grant create on database project to project");
    url.username = "project";
    await migrateAt(url.href);
    const [row] = await runOnce(
      url.href,
      `select has_table_privilege('authenticated', 'mailer_api.emails', 'select') as reads,
         has_function_privilege('service_role', 'mailer_api.call_as(text,text,text)', 'execute')
           as calls`,
    );
    expect(row).toEqual({ reads: true, calls: true });
  }, 60_000);
});
