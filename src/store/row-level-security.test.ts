import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import pg from "pg";
import { emailStates } from "../email/email.ts";
import { isLegalEdge } from "../email/states.ts";
import { newEmail, store } from "../testing/fixtures/new-email.ts";
import { rejection } from "../testing/fixtures/rejection.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import type { Database } from "./database.ts";
import { createEmails } from "./emails.ts";
import { createPostgresDatabase } from "./postgres-database.ts";

/** Direct SQL, as an attacker with a connection would try it. */
describe("row-level security by direct SQL", () => {
  let client: pg.Client;
  let database: Database;
  let url: string;
  const draft = newEmail({ scheduledAt: new Date("2040-01-01T00:00:00Z") });

  beforeAll(async () => {
    ({ url } = await freshDatabase());
    database = createPostgresDatabase({ url });
    client = new pg.Client({ connectionString: url });
    await client.connect();
    await store(createEmails(database), [draft]);
  }, 60_000);
  afterAll(async () => {
    await client.end();
    await database.close();
  });

  /** Runs one statement as a role and with claims, and undoes it. */
  async function as(role: string, sub: string, sql: string, params: unknown[] = []) {
    await client.query("begin");
    try {
      await client.query(`set local role ${role}`);
      await client.query("select set_config('request.jwt.claims', $1, true)", [
        JSON.stringify({ role: "user", sub }),
      ]);
      return (await client.query(sql, params)).rows;
    } finally {
      await client.query("rollback");
    }
  }

  const tables = ["emails", "contents", "recipients", "journal"];

  test.each(tables)("mailer_owner sees its own rows of %s only", async (table) => {
    const sql = `select owner_id from mailer.${table}`;
    expect((await as("mailer_owner", "ada", sql)).length).toBeGreaterThan(0);
    expect(await as("mailer_owner", "bob", sql)).toEqual([]);
  });

  test("mailer_owner changes nobody else's rows and cannot make rows for another", async () => {
    const update = "update mailer.emails set tags = '{x}' returning id";
    expect(await as("mailer_owner", "bob", update)).toEqual([]);
    expect((await as("mailer_owner", "ada", update)).length).toBe(1);
    const insert = `insert into mailer.journal (owner_id, actor, action) values ('ada', 'x', 'x')`;
    expect(String(await rejection(as("mailer_owner", "bob", insert)))).toMatch(
      "row-level security",
    );
  });

  const asEve = (fn: string, args: object) =>
    as("mailer_client", "eve", "select mailer_api.call_as($1, $2, $3) as answer", [
      '{"role":"user","sub":"eve"}',
      fn,
      JSON.stringify(args),
    ]);
  const change = { tags: ["eve's"], recipients: [], content: { subject: "eve's" } };
  const edit = { id: draft.id, version: 1, attempts: 0, horizon_ms: 0, fields: [], change };

  test.each(["change_email", "hold_email", "release_email", "replay_email"])(
    "a user's claims find nobody else's email through %s, by security or by the check alone",
    async (fn) => {
      expect(await asEve(fn, edit)).toEqual([{ answer: '{"kind":"not_found"}' }]);
      await client.query("alter role mailer_owner bypassrls");
      // A connection that ran the function before keeps a plan with row-level security in it.
      const fresh = createPostgresDatabase({ url });
      try {
        const answer = await fresh.rpc(fn, edit, { role: "user", sub: "eve" });
        expect(answer).toEqual({ kind: "not_found" });
      } finally {
        await fresh.close();
        await client.query("alter role mailer_owner nobypassrls");
      }
    },
  );

  test.each(["edit_row", "replay_row", "replayed_answer"])(
    "%s is no function to be called",
    async (fn) => {
      expect(String(await rejection(asEve(fn, edit)))).toMatch("forbidden");
    },
  );

  test("mailer_owner changes and removes its own content and recipients only", async () => {
    const update = "update mailer.contents set details = 'x' returning email_id";
    const remove = "delete from mailer.recipients returning email_id";
    for (const sql of [update, remove]) {
      expect(await as("mailer_owner", "eve", sql)).toEqual([]);
      expect((await as("mailer_owner", "ada", sql)).length).toBe(1);
    }
    const move = "update mailer.contents set owner_id = 'eve'";
    expect(String(await rejection(as("mailer_owner", "ada", move)))).toMatch("permission denied");
  });

  test("mailer_owner makes no recipient of somebody else's email", async () => {
    const insert = `insert into mailer.recipients (email_id, position, owner_id, kind, address_index)
      values ($1, 7, $2, 'bcc', 'x') returning email_id`;
    for (const owner of ["eve", "ada"]) {
      const sent = as("mailer_owner", "eve", insert, [draft.id, owner]);
      expect(String(await rejection(sent))).toMatch("row-level security");
    }
    expect((await as("mailer_owner", "ada", insert, [draft.id, "ada"])).length).toBe(1);
  });

  test("with row-level security switched off the functions still keep owners apart", async () => {
    await client.query("alter role mailer_owner bypassrls");
    try {
      const emails = createEmails(database);
      expect(await emails.get(draft.id, { role: "user", sub: "bob" })).toBeNull();
      expect(await emails.cancel(draft.id, { role: "user", sub: "bob" }, null)).toBe("not_found");
      const page = { limit: 10, offset: 0, cursor: null };
      const filter = {
        statuses: null,
        isDeferred: false,
        tag: null,
        metadata: null,
        addressIndex: null,
        scheduledAfter: null,
        scheduledBefore: null,
      };
      expect(await emails.list(filter, page, { role: "user", sub: "bob" })).toMatchObject({
        emails: [],
        total: 0,
      });
    } finally {
      await client.query("alter role mailer_owner nobypassrls");
    }
  });

  test("mailer_client may call call_as and touch nothing else", async () => {
    const call = `select mailer_api.call_as('{"role":"user","sub":"ada"}', 'queue_stats', '{}')`;
    expect((await as("mailer_client", "ada", call)).length).toBe(1);
    for (const table of [...tables, "settings", "workers"]) {
      const rows = as("mailer_client", "ada", `select * from mailer.${table}`);
      expect(String(await rejection(rows))).toMatch("permission denied");
    }
    const direct = "select mailer.queue_stats('{}')";
    expect(String(await rejection(as("mailer_client", "ada", direct)))).toMatch(
      "permission denied",
    );
  });

  test("every table has row-level security enabled and forced, and nothing is for public", async () => {
    const { rows } = await client.query(
      `select relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where n.nspname = 'mailer' and c.relkind = 'r'
         and not (c.relrowsecurity and c.relforcerowsecurity)`,
    );
    expect(rows).toEqual([]);
    const { rows: functions } = await client.query(
      `select p.oid::regprocedure::text as name from pg_proc p
       join pg_namespace n on n.oid = p.pronamespace
       where n.nspname in ('mailer', 'mailer_api')
         and has_function_privilege('public', p.oid, 'execute')`,
    );
    expect(functions).toEqual([]);
  });

  test("the definer functions belong to roles that cannot log in or bypass security", async () => {
    const { rows } = await client.query(
      `select p.proname, r.rolcanlogin, r.rolbypassrls, r.rolsuper, p.proconfig
       from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       join pg_roles r on r.oid = p.proowner
       where n.nspname in ('mailer', 'mailer_api') and p.prosecdef order by p.proname`,
    );
    expect(rows.map(({ proname }) => proname)).toEqual([
      "call_as",
      "delete_dropped",
      "pending_regions",
      "run_as_owner",
    ]);
    for (const row of rows) {
      expect(row).toMatchObject({ rolcanlogin: false, rolbypassrls: false, rolsuper: false });
      const paths = row.proconfig.filter(
        (setting: string) => !/^(enable_|jit|plan_)/.test(setting),
      );
      expect(paths).toEqual(["search_path=pg_catalog, pg_temp"]);
    }
  });

  test("the trigger knows exactly the edges that the program knows", async () => {
    await client.query("begin");
    for (const from of emailStates) {
      for (const to of emailStates) {
        for (const isFenced of [false, true]) {
          if (from === to) continue;
          await client.query("savepoint edge");
          // A superuser may disable triggers, and so put an email into any state to start from.
          await client.query("set local session_replication_role = replica");
          await client.query("update mailer.emails set state = $1, fenced_at = $2", [
            from,
            isFenced ? new Date() : null,
          ]);
          await client.query("set local session_replication_role = origin");
          const moved = await client
            .query("update mailer.emails set state = $1", [to])
            .then(() => true)
            .catch(() => false);
          await client.query("rollback to savepoint edge");
          expect([from, to, isFenced, moved]).toEqual([
            from,
            to,
            isFenced,
            isLegalEdge(from, to, isFenced),
          ]);
        }
      }
    }
    await client.query("rollback");
  });
});
