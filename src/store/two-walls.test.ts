import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import pg from "pg";
import { functionsOfUsers } from "../testing/fixtures/function-rights.ts";
import { rejection } from "../testing/fixtures/rejection.ts";
import { canaryOf, seedTenants, type Tenants } from "../testing/product/tenants.ts";
import { walls } from "../testing/walls.ts";

interface Attempt {
  /** What bob asks for, knowing every id of ada's. */
  args(ada: Tenants["ids"]["ada"]): unknown;
  /** What he is told: exactly what he would be told were there no ada. */
  told: unknown;
}

const everything = { filter: {}, limit: 1000, offset: 0 };
const page = { limit: 100, offset: 0, cursor: null };
const list = {
  ...page,
  statuses: null,
  is_deferred: false,
  tag: null,
  metadata: null,
  address_index: null,
  scheduled_after: null,
  scheduled_before: null,
  with_attempts: true,
};
const audit = { limit: 99, is_newest_first: false };
const edges = ["2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z"];
const timeline = { edges, past_edges: edges, bucket_max: 1_000, past_max: 1_000 };
const events = { limit: 99, scan: 99, is_newest_first: true, types: ["email.scheduled"] };
const change = {
  wrapped_key: canaryOf("ada"),
  origin: null,
  version: 1,
  attempts: 0,
  horizon_ms: 0,
  queued_by: "00000000-0000-7000-8000-000000000001",
  fields: ["tags"],
  change: { tags: ["taken by bob"] },
};
const key = {
  id: "0198b3a0-0000-7000-8000-00000000000b",
  name: "another",
  prefix: "tfm_bob2",
  hash: "ab".repeat(32),
  expires_at: null,
  origin: null,
};
const webhook = {
  ...{ id: "0198b3a0-0000-7000-8000-00000000000c", is_global: false, url: "https://example.com/" },
  ...{ events: ["email.*"], tags: [], wrapped_key: "x", secret: "x" },
};
const notFound = { kind: "not_found" };
/** All ids of ada's at once, for the functions that take many. */
const idsOf = ({ pending, held, failed }: Tenants["ids"]["ada"]) => [pending, held, failed];

/** Every function that a user can reach, and how one owner would try to get at another with it. */
const attempts: Record<string, Attempt[]> = {
  get_email: [{ args: ({ pending: id }) => ({ id, details: true, message: true }), told: null }],
  list_emails: [
    { args: () => ({ ...list, tag: canaryOf("ada") }), told: { emails: [], total: 0 } },
    { args: () => ({ ...list, metadata: { canary: canaryOf("ada") } }), told: { emails: [] } },
    { args: () => ({ ...list, address_index: canaryOf("ada") }), told: { emails: [] } },
    { args: () => list, told: { total: 3 } },
  ],
  email_events: [{ args: ({ pending: id }) => ({ id }), told: null }],
  read_audit: [
    { args: ({ pending }) => ({ ...audit, email_id: pending }), told: { entries: [] } },
    { args: () => ({ ...audit, actor: "ada" }), told: { entries: [] } },
    { args: () => ({ ...audit, owner_id: "ada" }), told: {} },
  ],
  read_events: [
    { args: ({ pending }) => ({ ...events, email_id: pending }), told: { events: [] } },
    { args: () => ({ ...events, tag: canaryOf("ada") }), told: { events: [] } },
    { args: () => ({ ...events, owner_id: "ada" }), told: {} },
  ],
  // A count and a hash of the heads, which the next one shows.
  journal_state: [{ args: () => ({ owner_id: "ada" }), told: {} }],
  list_journal_heads: [
    { args: () => ({ limit: 99, owner_id: null }), told: { heads: [{ owner_id: "bob" }] } },
  ],
  read_journal_start: [
    { args: () => ({ limit: 99, owner_id: null }), told: { anchors: [{ owner_id: "bob" }] } },
  ],
  due_counts: [{ args: () => timeline, told: { planned: [1] } }],
  queue_stats: [{ args: () => ({}), told: { by_status: { pending: 1, held: 1, failed: 1 } } }],
  shred_email: [{ args: ({ failed: id }) => ({ id, origin: null }), told: notFound }],
  erase_recipient: [
    {
      args: () => ({ address_index: canaryOf("ada"), owner: "ada", limit: 9, origin: null }),
      told: { erased: 0, not_finished: 0 },
    },
  ],
  cancel_email: [{ args: ({ pending: id }) => ({ id, origin: null }), told: notFound }],
  change_email: [{ args: ({ pending: id }) => ({ ...change, id }), told: notFound }],
  hold_email: [{ args: ({ pending: id }) => ({ id, origin: null }), told: notFound }],
  release_email: [{ args: ({ held: id }) => ({ ...change, id }), told: notFound }],
  replay_email: [
    { args: ({ failed: id }) => ({ ...change, id, scheduled_at: null }), told: notFound },
  ],
  dead_letter_groups: [
    { args: () => everything, told: { total: 2 } },
    { args: () => ({ ...everything, filter: { tag: canaryOf("ada") } }), told: { groups: [] } },
  ],
  replay_emails: [
    { args: (ada) => ({ ids: idsOf(ada), start: null, first: 0 }), told: { replayed: 0 } },
  ],
  find_changeable: [
    ...["replay", "cancel", "hold"].map((kind) => ({
      args: (ada: Tenants["ids"]["ada"]) => ({
        ...{ change: kind, filter: { ids: idsOf(ada) }, limit: 9 },
      }),
      told: { matched: 0, ids: [] },
    })),
    { args: () => ({ ...everything, change: "replay" }), told: { matched: 2 } },
    { args: () => ({ ...everything, change: "cancel" }), told: { matched: 2 } },
    { args: () => ({ ...everything, change: "hold" }), told: { matched: 1 } },
  ],
  change_emails: [
    { args: (ada) => ({ change: "cancel", ids: idsOf(ada), origin: null }), told: { changed: 0 } },
    { args: (ada) => ({ change: "hold", ids: idsOf(ada), origin: null }), told: { changed: 0 } },
    { args: (ada) => ({ change: "dismiss", ids: idsOf(ada) }), told: { changed: 0 } },
  ],
  create_api_key: [
    { args: () => ({ ...key, scopes: ["admin"] }), told: "refused" },
    { args: () => ({ ...key, scopes: ["read"], owner_id: "ada" }), told: { kind: "created" } },
  ],
  list_api_keys: [
    { args: ({ apiKey: id }) => ({ ...page, id }), told: { keys: [], total: 1 } },
    { args: () => ({ ...page, id: null }), told: { total: 1 } },
  ],
  create_webhook: [
    { args: () => ({ ...webhook, is_global: true }), told: "refused" },
    { args: () => ({ ...webhook, owner_id: "ada" }), told: { kind: "created" } },
  ],
  list_webhooks: [
    { args: ({ webhook: id }) => ({ ...page, id, owner_id: null }), told: { webhooks: [] } },
    { args: () => ({ ...page, id: null, owner_id: "ada" }), told: {} },
  ],
  change_webhook: [
    { args: ({ webhook: id }) => ({ id, change: { enabled: false } }), told: notFound },
  ],
  delete_webhook: [{ args: ({ webhook: id }) => ({ id, origin: null }), told: notFound }],
  list_webhook_deliveries: [
    { args: ({ webhook: id }) => ({ webhook_id: id, limit: 9, cursor: null }), told: null },
  ],
  keep_webhook_test: [
    {
      args: ({ webhook: id }) => ({
        ...{ webhook_id: id, id: "msg_1", type: "webhook.test", outcome: "failed" },
        duration_ms: 1,
      }),
      told: null,
    },
  ],
  replay_webhook_events: [
    {
      args: ({ webhook: id }) => ({
        ...{ webhook_id: id, first_in_ms: 0, every_ms: 0, is_last: true },
        deliveries: [{ id: "msg_2", position: 1, type: "email.sent" }],
      }),
      told: notFound,
    },
  ],
  revoke_api_key: [{ args: ({ apiKey: id }) => ({ id, origin: null }), told: notFound }],
};
/** These mean whoever asks, so that ada's own question says nothing about bob's. */
const aboutTheCaller = new Set([
  "due_counts",
  "queue_stats",
  "create_api_key",
  "create_webhook",
  "journal_state",
  "list_journal_heads",
  "read_journal_start",
]);

test("every function that a user can reach is tried", () => {
  expect(Object.keys(attempts).sort()).toEqual(functionsOfUsers.toSorted());
});

describe.each(Object.entries(walls))("ada's rows are kept from bob %s", (_, { down, stillUp }) => {
  let client: pg.Client;
  let ada: Tenants["ids"]["ada"];

  beforeAll(async () => {
    const tenants = await seedTenants();
    ada = tenants.ids.ada;
    client = new pg.Client({ connectionString: tenants.url });
    await client.connect();
    for (const statement of down) await client.query(statement);
  }, 60_000);
  afterAll(async () => await client.end());

  /** The answer, and a print of ada's rows after it; undone afterwards. */
  async function ask(sub: string, fn: string, args: unknown) {
    await client.query("begin");
    try {
      await client.query("set local role mailer_client");
      const { rows } = await client.query<{ answer: string }>(
        "select mailer_api.call_as($1, $2, $3) as answer",
        [JSON.stringify({ role: "user", sub }), fn, JSON.stringify(args)],
      );
      await client.query("reset role");
      return { answer: rows[0]?.answer ?? "", rowsAfter: await printOfAda() };
    } finally {
      await client.query("rollback");
    }
  }

  /** All there is of hers, and what others' journals say of her emails. */
  async function printOfAda(): Promise<string> {
    const { rows } = await client.query<{ name: string }>(
      `select a.attrelid::regclass::text as name from pg_attribute a
       join pg_class c on c.oid = a.attrelid
       where c.relnamespace = 'mailer'::regnamespace and c.relkind in ('r', 'p')
         and a.attname = 'owner_id' order by 1`,
    );
    const prints: unknown[] = [];
    for (const { name } of rows) {
      const print = await client.query(
        `select md5(string_agg(to_jsonb(t)::text, ',' order by to_jsonb(t)::text)) as print,
           count(*) from ${name} t where owner_id = 'ada'`,
      );
      prints.push(print.rows[0]);
    }
    const told = await client.query(
      "select count(*) from mailer.journal where owner_id <> 'ada' and email_id = any ($1)",
      [idsOf(ada)],
    );
    return JSON.stringify([prints, told.rows]);
  }

  test.each(Object.keys(attempts))("%s", async (fn) => {
    const before = await printOfAda();
    for (const { args, told } of attempts[fn] ?? []) {
      const asked = ask("bob", fn, args(ada));
      if (told === "refused") {
        expect(String(await rejection(asked))).toMatch(/forbidden|row-level security/);
        continue;
      }
      const { answer, rowsAfter } = await asked;
      if (told === null) expect(answer).toBe("null");
      else expect(JSON.parse(answer)).toMatchObject(told as object);
      expect(answer).not.toContain(canaryOf("ada"));
      for (const id of idsOf(ada)) expect(answer).not.toContain(id);
      expect(rowsAfter).toBe(before);
    }
  });

  test("and the same questions do reach them when ada asks herself", async () => {
    const before = await printOfAda();
    for (const [fn, tried] of Object.entries(attempts)) {
      if (aboutTheCaller.has(fn)) continue;
      for (const { args } of tried) {
        const { answer, rowsAfter } = await ask("ada", fn, args(ada));
        const shows =
          answer.includes(canaryOf("ada")) || idsOf(ada).some((id) => answer.includes(id));
        const isHers = shows || rowsAfter !== before || answer.includes("email.scheduled");
        expect([fn, isHers]).toEqual([fn, true]);
      }
    }
  });

  test("the walls that are meant to be down are down", async () => {
    const { rows } = await client.query(
      "select relrowsecurity as is_up from pg_class where oid = 'mailer.emails'::regclass",
    );
    expect(rows[0]?.is_up).toBe(stillUp !== "checks");
    await client.query(
      `select set_config('request.jwt.claims', '{"role":"user","sub":"bob"}', false)`,
    );
    const check = await client.query("select mailer.may_see('ada') as sees");
    expect(check.rows[0]?.sees).toBe(stillUp === "rows");
  });
});
