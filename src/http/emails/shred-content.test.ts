import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { noUserReply, startTestApi, type TestApi } from "../../testing/product/test-api.ts";
import { type DirectSql, directSql } from "../../testing/servers/direct-sql.ts";

setDefaultTimeout(60_000);

let api: TestApi;
let sql: DirectSql;
beforeAll(async () => {
  api = await startTestApi();
  sql = await directSql(api.database);
});
afterAll(async () => {
  await sql?.close();
  await api?.close();
});

const later = { scheduled_at: "2030-01-01T00:00:00Z" };
const shred = (id: string, as = "ada") =>
  api.request("DELETE", `/api/v1/emails/${id}/content`, { as });
const get = (path: string) => api.request("GET", `/api/v1${path}`);

async function failed(fields = {}): Promise<string> {
  const id = await api.schedule({ tags: ["kept"], ...fields });
  await api.deliver(id, { ...noUserReply, text: "<bob@example.com> is unknown" });
  return id;
}

/** Every value of every row about the email, but of the journal. */
async function rowsOf(id: string) {
  const [email] = await sql.query("select * from mailer.emails where id = $1", [id]);
  const of = (table: string) =>
    sql.query(`select * from mailer.${table} where email_id = $1`, [id]);
  const contents = await of("contents");
  return { email, contents, recipients: await of("recipients"), attempts: await of("attempts") };
}

describe("200", () => {
  test("afterwards nothing that was encrypted, and no index of it, is left; the record is", async () => {
    const id = await failed();
    const before = (await get(`/status/${id}`)).json.data;
    expect((await shred(id)).json as unknown).toEqual({
      success: true,
      data: { id, status: "failed", content: "destroyed" },
    });
    const { email, contents, recipients, attempts } = await rowsOf(id);
    const gone = { wrapped_key: null, sender: null, subject: null };
    expect(email).toMatchObject({ ...gone, failure_group: null, failure_domain: null });
    expect(contents).toMatchObject([{ message: null, details: null }]);
    expect(recipients).toMatchObject([{ address: null, address_index: null, reply: null }]);
    expect(attempts).toMatchObject([{ reply: null, outcome: "bounced", smtp_code: 550 }]);
    const text = JSON.stringify({ email, contents, recipients, attempts });
    expect(text).not.toContain('"v1.');

    const after = (await get(`/status/${id}`)).json.data;
    const withoutReply = (each: unknown) => ({ ...(each as object), reply: null });
    expect(after).toEqual({
      ...before,
      version: Number(before.version) + 1,
      subject: null,
      attempts: (before.attempts as unknown[]).map(withoutReply),
      recipients: [{ ...withoutReply((before.recipients as unknown[])[0]), address: null }],
    });
    const events = (await get(`/emails/${id}/events`)).json.data as unknown as unknown[];
    expect(events.at(-1)).toMatchObject({ action: "email.shredded", actor: "ada" });
    expect(events.length).toBeGreaterThan(2);
  });

  test("again is 200 and changes nothing; an admin shreds anybody's", async () => {
    const id = await failed();
    const options = { as: "root", role: "admin" } as const;
    const first = await api.request("DELETE", `/api/v1/emails/${id}/content`, options);
    const rows = await rowsOf(id);
    const second = await shred(id);
    expect([first.status, second.status]).toEqual([200, 200]);
    expect(second.json).toEqual(first.json);
    expect(await rowsOf(id)).toEqual(rows);
  });

  test("lists, groups and everything else about the email still answer", async () => {
    const id = await failed({ recipients: ["shredded@example.com"] });
    await shred(id);
    const lists = [
      "/scheduled-emails?limit=100",
      "/dead-letters?limit=100",
      "/scheduled-emails?tag=kept",
    ];
    for (const path of lists) {
      const { status, json } = await get(path);
      const rows = json.data as unknown as Record<string, unknown>[];
      const row = rows.find((each) => each.id === id);
      expect([status, row?.subject, row?.status]).toEqual([200, null, "failed"]);
      expect(row).not.toHaveProperty("unreadable");
    }
    const found = await get("/scheduled-emails?recipient=shredded@example.com");
    expect(found.json.data as unknown).toEqual([]);
    expect((await get("/dead-letters/groups")).status).toBe(200);
    const whole = await get(`/emails/${id}`);
    expect(whole.json.data).toMatchObject({ from: null, body: null, html_body: null });
    expect((await get(`/emails/${id}/raw`)).status).toBe(404);
    expect((await get(`/emails/${id}/attachments/0`)).status).toBe(404);
  });

  test("a dead letter that was shredded is never sent again", async () => {
    const id = await failed();
    await shred(id);
    const replay = await api.request("POST", `/api/v1/dead-letters/${id}/replay`);
    expect(replay).toMatchObject({
      status: 404,
      json: { detail: "The content of this email was destroyed." },
    });
    const body = { filter: { ids: [id] } };
    const bulk = await api.request("POST", "/api/v1/dead-letters/replay", { body });
    expect(bulk.json.data).toMatchObject({ matched: 0, replayed: 0 });
    const chunk = { ids: [id], start: null, first: 0, ratePerMinute: null, scheduledAt: null };
    const claims = { role: "user", sub: "ada" } as const;
    const late = { ...chunk, bulk: "b", origin: null };
    expect((await api.deps.deadLetters.replay(late, claims)).replayed).toBe(0);
    expect((await get(`/status/${id}`)).json.data).toMatchObject({ status: "failed" });
  });
});

describe("409", () => {
  test("pending and held: it may still be sent, and stays whole", async () => {
    const id = await api.schedule(later);
    for (const status of ["pending", "held"]) {
      const answer = await shred(id);
      expect(answer).toMatchObject({ status: 409, json: { code: "not_finished" } });
      expect(answer.json.detail).toStartWith(`It is ${status} `);
      await api.request("POST", `/api/v1/emails/${id}/hold`);
    }
    expect((await get(`/status/${id}`)).json.data).toMatchObject({ subject: "Hello" });
    await api.request("DELETE", `/api/v1/cancel/${id}`);
    expect((await shred(id)).status).toBe(200);
  });
});

describe("404", () => {
  test("somebody else's, an unknown one, a malformed one; nothing changes", async () => {
    const id = await failed();
    expect((await shred(id, "eve")).status).toBe(404);
    expect((await shred(crypto.randomUUID())).status).toBe(404);
    expect((await shred("x")).status).toBe(404);
    expect((await get(`/status/${id}`)).json.data).toMatchObject({ subject: "Hello" });
  });
});
