import { afterAll, beforeAll, expect, test } from "bun:test";
import { createWebhookWork } from "../../store/webhook-work.ts";
import {
  createShortJournal,
  type ShortJournal,
  verifyText,
} from "../../testing/product/short-journal.ts";
import { startTestApi, type TestApi } from "../../testing/product/test-api.ts";
import { type DirectSql, directSql } from "../../testing/servers/direct-sql.ts";

const root = { as: "root", role: "admin" } as const;

let api: TestApi;
let sql: DirectSql;
let journal: ShortJournal;
/** Of the checkpoint up to which entries were dropped. */
let dropped: number;

beforeAll(async () => {
  api = await startTestApi();
  sql = await directSql(api.database);
  journal = createShortJournal(api.database, sql);
  await journal.write(["ada", "bob", "ada", "idle"]);
  dropped = await journal.keep();
  await journal.age(100);
  await api.schedule();
  await journal.write(["bob"]);
  expect(await journal.drop(30)).toMatchObject({ position: dropped, dropped });
}, 60_000);
afterAll(async () => {
  await sql?.close();
  await api?.close();
});

const get = async (path: string, request = {}) =>
  await api.request("GET", `/api/v1/${path}`, request);

test("verify says from where, since when, and by which checkpoint; of one chain only from where", async () => {
  const own = { ok: true, first_broken: null, verified_from: dropped + 1 };
  const none = { dropped_at: null, dropped_checkpoint: null };
  expect((await get("audit/verify")).json.data).toEqual({ ...own, ...none, checked: 1 });
  const all = { ...own, dropped_at: expect.stringMatching(/Z$/), dropped_checkpoint: dropped };
  const { data } = (await get("audit/verify", root)).json;
  expect(data).toEqual({ ...all, checked: 3, checkpoints: 1 });
  const idle = (await get("audit/verify?owner_id=idle", root)).json.data;
  expect(idle).toEqual({ ...own, ...none, checked: 0 });
});

test("an export of chains begins with what they follow on; one of a search holds entries alone", async () => {
  const ndjson = { headers: { accept: "application/x-ndjson" } };
  const types = (text: string) =>
    text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).type ?? "entry");
  const start = "taskforce-mailer/journal-start/v1";
  const anchor = "taskforce-mailer/journal-anchor/v1";
  const [own, all, search] = await Promise.all([
    get("audit", ndjson),
    get("audit", { ...root, ...ndjson }),
    get("audit?action=test.entry", { ...root, ...ndjson }),
  ]);
  expect(types(own.text)).toEqual([start, anchor, "entry"]);
  expect(types(all.text)).toEqual([start, anchor, anchor, anchor, ...Array(3).fill("entry")]);
  expect(types(search.text)).toEqual(["entry"]);
  // Nobody learns of another owner by what an own chain follows on.
  expect(own.text).not.toMatch(/bob|idle|signature/);
  for (const { text } of [own, all]) expect(await verifyText(text)).toMatchObject({ ok: true });
});

test("a list by cursor ends at the oldest entry that is kept", async () => {
  const first = await get("audit?limit=2", root);
  expect(first.json.data).toHaveLength(2);
  const { next_cursor } = first.json.page as { next_cursor: string };
  const last = await get(`audit?limit=2&cursor=${next_cursor}`, root);
  expect(last.json.data).toMatchObject([{ position: dropped + 1 }]);
  expect(last.json.page).toMatchObject({ next_cursor: null });
});

test("events are read on from a place of before", async () => {
  for (const after of [0, 1, dropped]) {
    const { json } = await get(`events?after=${after}`);
    expect(json.data).toMatchObject([{ type: "email.scheduled" }]);
  }
});

test("a webhook whose cursor lies before has what is left to deliver; one of an idle owner nothing", async () => {
  const made = async (as: string) => {
    const body = { url: "https://example.com/", events: ["email.*"] };
    return (await api.request("POST", "/api/v1/webhooks", { as, body })).json.data.id as string;
  };
  const [behind, idle] = [await made("bob"), await made("idle")];
  await journal.seal();
  const set = "update mailer.webhooks set cursor = $2 where id = $1";
  const [sealed] = await sql.query("select position::integer from mailer.sealer");
  await sql.query(set, [behind, 1]);
  // The only entry of the idle owner that is kept tells of its webhook.
  await sql.query(set, [idle, sealed?.position]);
  const work = createWebhookWork(api.database, { workerId: crypto.randomUUID() });
  const { webhooks } = await work.claim(9, 1_000);
  expect(webhooks.map(({ id }) => id)).toEqual([behind]);
});
