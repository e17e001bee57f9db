import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import pg from "pg";
import { claimed, deadLetters, refusal } from "../testing/fixtures/dead-letters.ts";
import { newEmail, recipientsOf, store, userClaims } from "../testing/fixtures/new-email.ts";
import { drivers, type OpenDatabase } from "../testing/servers/databases.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { type Attempts, createAttempts } from "./attempts.ts";
import { type BulkCancel, createBulkCancel } from "./bulk-cancel.ts";
import type { Database } from "./database.ts";
import { createDeadLetters } from "./dead-letters.ts";
import { createEmails, type Emails } from "./emails.ts";
import { createPostgresDatabase } from "./postgres-database.ts";

setDefaultTimeout(60_000);

const later = new Date("2040-01-01T00:00:00Z");

function attemptsOn(database: Database): Attempts {
  const [region, transport] = ["local", "smtp.example:25"];
  return createAttempts(database, {
    ...{ workerId: Bun.randomUUIDv7(), region, transport },
  });
}

describe.each(drivers)("cancelling many on $driver", ({ open }) => {
  let opened: OpenDatabase;
  let emails: Emails;
  let attempts: Attempts;
  let worker: { database: Database; attempts: Attempts };
  let bulk: BulkCancel;
  beforeAll(async () => {
    opened = await open();
    emails = createEmails(opened.database);
    attempts = attemptsOn(opened.database);
    worker = { database: opened.database, attempts };
    bulk = createBulkCancel(opened.database);
  });
  afterAll(() => opened?.close());

  const ada = userClaims("ada");
  const cancel = (ids: string[], as = ada) => bulk.cancel({ ids, bulk: "b", origin: null }, as);

  test("of a claimed one the fence is refused afterwards; a fenced one is left alone", async () => {
    const [open1, fenced] = await claimed(emails, worker, [{ tags: ["f"] }, { tags: ["f"] }]);
    if (!open1 || !fenced) throw new Error("no emails");
    await attempts.fence(fenced.id, fenced.token, new Date());
    expect(await bulk.find({ tag: "f" }, 10, ada)).toEqual({ matched: 1, ids: [open1.id] });
    expect(await cancel([open1.id, fenced.id])).toBe(1);
    expect(await attempts.fence(open1.id, open1.token, new Date())).toEqual({
      granted: false,
      reason: "cancelled",
    });
    expect(await emails.get(fenced.id, ada)).toMatchObject({ status: "sending" });
  });

  test("what some have got, or may have got, is left alone, as by a single cancel", async () => {
    const [partly, uncertain] = await claimed(emails, worker, [
      { tags: ["p"], recipients: recipientsOf(2) },
      { tags: ["p"] },
    ]);
    if (!partly || !uncertain) throw new Error("no emails");
    const again = { nextState: "pending" as const, retryInMs: 3_600_000 };
    const [one, two] = refusal(partly).recipients;
    if (!one || !two) throw new Error("no recipients");
    await attempts.settle(
      refusal(partly, {
        ...again,
        outcome: "partial",
        recipients: [
          { ...one, status: "sent" },
          { ...two, status: "deferred" },
        ],
      }),
    );
    await attempts.fence(uncertain.id, uncertain.token, new Date());
    await attempts.settle(refusal(uncertain, { ...again, outcome: "uncertain", recipients: [] }));
    expect(await bulk.find({ tag: "p" }, 10, ada)).toEqual({ matched: 0, ids: [] });
    expect(await cancel([partly.id, uncertain.id])).toBe(0);
    expect(await emails.cancel(partly.id, ada, null)).toBe("already_sent");
    expect(await emails.cancel(uncertain.id, ada, null)).toBe("outcome_uncertain");
  });

  test("another owner's are neither found nor cancelled; the timeline names the bulk", async () => {
    const draft = newEmail({ tags: ["o"], scheduledAt: later });
    await store(emails, [draft]);
    const eve = userClaims("eve");
    expect(await bulk.find({ tag: "o" }, 10, eve)).toEqual({ matched: 0, ids: [] });
    expect(await cancel([draft.id], eve)).toBe(0);
    expect(await cancel([draft.id])).toBe(1);
    expect(await cancel([draft.id])).toBe(0);
    expect((await emails.events(draft.id, ada))?.at(-1)).toMatchObject({
      action: "email.cancelled",
      detail: { status: "cancelled", bulk: "b" },
    });
  });
});

describe("by direct SQL", () => {
  let client: pg.Client;
  let database: Database;
  let emails: Emails;
  let worker: { database: Database; attempts: Attempts };
  beforeAll(async () => {
    const { url } = await freshDatabase();
    database = createPostgresDatabase({ url });
    client = new pg.Client({ connectionString: url });
    await client.connect();
    emails = createEmails(database);
    worker = { database, attempts: attemptsOn(database) };
  });
  afterAll(async () => {
    await client?.end();
    await database?.close();
  });

  /** As mailer_owner, with claims that only say who: row-level security alone decides. */
  async function call(fn: string, args: object, sub: string): Promise<unknown> {
    await client.query("begin");
    try {
      await client.query("set local role mailer_owner");
      await client.query("select set_config('request.jwt.claims', $1, true)", [
        // With this role the functions' own check would let everything pass.
        JSON.stringify({ role: "admin", sub }),
      ]);
      const { rows } = await client.query(`select mailer.${fn}($1)::json as answer`, [
        JSON.stringify(args),
      ]);
      return rows[0]?.answer;
    } finally {
      await client.query("rollback");
    }
  }

  test("row-level security keeps bulk changes and groups to the owner's rows", async () => {
    const dead = await deadLetters(emails, worker, [{}, {}]);
    const open = newEmail({ scheduledAt: later });
    await store(emails, [open]);
    const replay = { ids: dead, start: null, first: 0, bulk: "b" };
    const page = { filter: {}, limit: 10, offset: 0 };
    for (const [sub, count] of [
      ["bob", 0],
      ["ada", 1],
    ] as const) {
      expect(await call("replay_emails", replay, sub)).toMatchObject({ replayed: count * 2 });
      const cancel = { change: "cancel", ids: [open.id] };
      expect(await call("change_emails", cancel, sub)).toEqual({ changed: count });
      const found = (change: string) => call("find_changeable", { ...page, change }, sub);
      expect(await found("replay")).toMatchObject({ matched: count * 2 });
      expect(await found("cancel")).toMatchObject({ matched: count });
      expect(await call("dead_letter_groups", page, sub)).toMatchObject({ total: count });
    }
  });

  test("with row-level security switched off the claims still keep owners apart", async () => {
    const ids = await deadLetters(emails, worker, [{}]);
    const open = newEmail({ scheduledAt: later });
    await store(emails, [open]);
    const bob = userClaims("bob");
    const stores = { dead: createDeadLetters(database), bulk: createBulkCancel(database) };
    const chunk = { ids, start: null, first: 0, ratePerMinute: null, scheduledAt: null };
    await client.query("alter role mailer_owner bypassrls");
    try {
      const answer = await stores.dead.replay({ ...chunk, bulk: "b", origin: null }, bob);
      expect(answer.replayed).toBe(0);
      expect((await stores.dead.find({ ids }, 10, bob)).matched).toBe(0);
      expect((await stores.dead.groups({}, { limit: 10, offset: 0 }, bob)).total).toBe(0);
      expect(await stores.bulk.cancel({ ids: [open.id], bulk: "b", origin: null }, bob)).toBe(0);
      expect((await stores.bulk.find({}, 10, bob)).matched).toBe(0);
    } finally {
      await client.query("alter role mailer_owner nobypassrls");
    }
  });

  test("a bulk replay leaves each email as the single one does", async () => {
    const drafts = () => [{}, { expiresAt: later }, { recipients: recipientsOf(2) }];
    const single = await deadLetters(emails, worker, drafts());
    const many = await deadLetters(emails, worker, drafts());
    const scheduledAt = new Date("2041-01-01T00:00:00Z");
    const options = { scheduledAt, origin: "o" };
    for (const id of single) await emails.replay(id, userClaims("ada"), options);
    const chunk = { ids: many, start: null, first: 0, ratePerMinute: null, scheduledAt };
    await createDeadLetters(database).replay(
      { ...chunk, bulk: "b", origin: "o" },
      userClaims("ada"),
    );
    const rows = async (ids: string[]) => {
      const parts = ["emails", "id", "recipients", "email_id", "journal", "email_id"];
      const found: unknown[] = [];
      for (const id of ids) {
        for (let n = 0; n < parts.length; n += 2) {
          const { rows: raw } = await client.query(
            `select to_jsonb(t) - array['id', 'email_id', 'created_at', 'at', 'worker_id',
               'claimed_at', 'dead_at', 'position', 'number', 'canonical', 'hash'] as row
             from mailer.${parts[n]} t where t.${parts[n + 1]} = $1 order by 1`,
            [id],
          );
          found.push(raw.map(({ row }) => plain(row)));
        }
      }
      return found;
    };
    expect(await rows(many)).toEqual(await rows(single));
  });
});

/** Without what is of one email alone, or says that many were changed. */
function plain(row: Record<string, unknown>): unknown {
  const { bulk: _, ...detail } = (row.detail ?? {}) as Record<string, unknown>;
  const times = ["scheduled_at", "next_attempt_at", "age_from"];
  const isReplayed = row.action === "email.replayed" || row.state === "pending";
  return {
    ...row,
    ...(isReplayed ? {} : Object.fromEntries(times.map((name) => [name, null]))),
    detail: { ...detail, ...(isReplayed ? {} : { scheduled_at: null }) },
  };
}
