import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { simpleParser } from "mailparser";
import { claimedOne } from "../../testing/fixtures/claim-one.ts";
import { noUserReply, startTestApi, type TestApi } from "../../testing/product/test-api.ts";

setDefaultTimeout(60_000);

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.close());

const later = "2030-01-01T00:00:00Z";

function patch(id: string, body: unknown, headers: Record<string, string> = {}, as = "ada") {
  return api.request("PATCH", `/api/v1/emails/${id}`, { body, headers, as });
}

async function read(id: string, path = `/emails/${id}`) {
  return (await api.request("GET", `/api/v1${path}`)).json.data;
}

async function raw(id: string) {
  return simpleParser((await api.request("GET", `/api/v1/emails/${id}/raw`)).text);
}

async function lastEntry(id: string) {
  const entries = (await read(id, `/emails/${id}/events`)) as unknown as Record<string, unknown>[];
  return entries.at(-1) ?? {};
}

describe("200", () => {
  test("a new subject composes anew under the same Message-ID; nothing else changes", async () => {
    const files = ["a.bin", "b.bin"].map((filename, n) => ({
      filename,
      content: Buffer.from(crypto.getRandomValues(new Uint8Array(5_000 + n))).toString("base64"),
    }));
    const id = await api.schedule({
      scheduled_at: later,
      attachments: files,
      cc: ["Cy <c@d.example>"],
    });
    const before = await raw(id);
    const answer = await patch(id, { subject: "Grüße" });
    expect(answer.status).toBe(200);
    expect(answer.json.data).toMatchObject({ id, status: "pending", subject: "Grüße", version: 2 });
    const after = await raw(id);
    expect(after.subject).toBe("Grüße");
    expect(after.messageId).toBe(before.messageId);
    expect(after.text).toBe(before.text);
    expect(after.cc).toEqual(before.cc);
    expect(after.attachments.map(({ filename }) => filename)).toEqual(["a.bin", "b.bin"]);
    expect(after.attachments.map(({ content }) => content.toString("base64"))).toEqual(
      files.map(({ content }) => content),
    );
    expect(await lastEntry(id)).toMatchObject({
      action: "email.updated",
      actor: "ada",
      detail: { fields: ["subject"], version: 2 },
    });
  });

  test("the Message-ID stays when the sender's domain changes, and changes back", async () => {
    const other = await startTestApi();
    try {
      const sender = { from: "a@one.example", fromName: null, allowed: null, headersAllowed: [] };
      Object.assign(other.deps.config, { sender });
      const id = await other.schedule({ scheduled_at: later });
      for (const from of ["b@two.example", "c@three.example"]) {
        const path = `/api/v1/emails/${id}`;
        expect((await other.request("PATCH", path, { body: { from } })).status).toBe(200);
        const parsed = await simpleParser((await other.request("GET", `${path}/raw`)).text);
        expect(parsed.messageId).toBe(`<${id}@one.example>`);
        expect(parsed.from?.value[0]?.address).toBe(from);
      }
    } finally {
      await other.close();
    }
  });

  test("a pure reschedule composes nothing, and wakes a worker at the new time only", async () => {
    const id = await api.schedule();
    const bytes = await storedMessage(id);
    const answer = await patch(id, { scheduled_at: later });
    expect(answer.json.data).toMatchObject({
      scheduled_at: "2030-01-01T00:00:00.000Z",
      next_attempt_at: "2030-01-01T00:00:00.000Z",
      version: 2,
    });
    expect(await storedMessage(id)).toEqual(bytes);
    expect(await lastEntry(id)).toMatchObject({
      action: "email.rescheduled",
      detail: { fields: ["scheduled_at"], scheduled_at: "2030-01-01T00:00:00.000Z" },
    });
    expect(await api.delivery.run(id)).toEqual({ kind: "not_claimed" });
    expect(await read(id)).toMatchObject({ status: "pending", attempts: [] });
    await api.request("POST", `/api/v1/emails/${id}/send-now`);
    expect(api.delivery.told.at(-1)).toEqual({ delayMs: 0 });
    await api.deliver(id);
    expect(await read(id)).toMatchObject({ status: "sent" });
  });

  test("what is edited is what is sent", async () => {
    const id = await api.schedule({ cc: ["c@example.com"] });
    const answer = await patch(id, {
      recipients: ["New <new@example.com>"],
      cc: [],
      body: "Other.",
    });
    expect(answer.json.data.recipients).toMatchObject([
      { address: "new@example.com", kind: "to", status: "pending" },
    ]);
    const parsed = await raw(id);
    expect(parsed.cc).toBeUndefined();
    expect(parsed.text?.trim()).toBe("Other.");
    await api.deliver(id);
    expect(await read(id)).toMatchObject({
      status: "sent",
      recipients: [{ address: "new@example.com", status: "sent" }],
    });
  });

  test("max_lateness moves expires_at along with the time", async () => {
    const id = await api.schedule({ scheduled_at: later, max_lateness: 60, on_late: "hold" });
    await patch(id, { scheduled_at: "2031-01-01T00:00:00Z" });
    expect(await read(id)).toMatchObject({
      expires_at: "2031-01-01T00:01:00.000Z",
      on_late: "hold",
    });
    await patch(id, { max_lateness: 30 });
    expect(await read(id)).toMatchObject({
      expires_at: "2031-01-01T00:00:30.000Z",
      on_late: "hold",
    });
  });

  test.each<[Record<string, unknown>, Record<string, unknown>, Record<string, unknown>]>([
    [
      { max_lateness: 60 },
      { expires_at: "2032-01-01T00:00:00Z" },
      { expires_at: "2032-01-01T00:00:00.000Z", max_lateness: null, on_late: "drop" },
    ],
    [
      { max_lateness: 60, on_late: "hold" },
      { expires_at: null },
      { expires_at: null, max_lateness: null, on_late: "send" },
    ],
    [
      { expires_at: "2032-01-01T00:00:00Z" },
      { max_lateness: null },
      { expires_at: "2032-01-01T00:00:00.000Z", max_lateness: null, on_late: "drop" },
    ],
    [{}, { max_lateness: 5 }, { expires_at: "2030-01-01T00:00:05.000Z", on_late: "drop" }],
    [
      { max_lateness: 5 },
      { on_late: "hold" },
      { expires_at: "2030-01-01T00:00:05.000Z", max_lateness: 5, on_late: "hold" },
    ],
    [{ max_retries: 7 }, { max_retries: null }, { max_retries: 3 }],
    [
      { tags: ["a", "b"], metadata: { a: 1 } },
      { tags: ["c"] },
      { tags: ["c"], metadata: { a: 1 } },
    ],
    [{ metadata: { a: 1, b: 2 } }, { metadata: { c: 3 } }, { metadata: { c: 3 } }],
    [{ reply_to: "r@example.com" }, { reply_to: null }, { reply_to: null }],
    [
      { reply_to: "r@example.com" },
      { reply_to: ["a@example.com", "B <b@example.com>"] },
      { reply_to: ["a@example.com", "B <b@example.com>"] },
    ],
    [{ reply_to: ["r@example.com"] }, { subject: "x" }, { reply_to: "r@example.com" }],
    [{ html_body: "<p>x</p>" }, { body: null }, { body: null, html_body: "<p>x</p>" }],
  ])("of %j, %j makes %j", async (fields, body, shown) => {
    const id = await api.schedule({ scheduled_at: later, ...fields });
    expect((await patch(id, body)).status).toBe(200);
    expect(await read(id)).toMatchObject(shown);
  });

  test("an empty edit changes nothing", async () => {
    const id = await api.schedule({ scheduled_at: later });
    expect((await patch(id, {})).json.data).toMatchObject({ version: 1 });
    expect(await lastEntry(id)).toMatchObject({ action: "email.scheduled" });
  });

  test("a held email is edited and stays held", async () => {
    const id = await api.schedule({ scheduled_at: later });
    await api.request("POST", `/api/v1/emails/${id}/hold`);
    const told = api.delivery.told.length;
    const answer = await patch(id, { subject: "Held", scheduled_at: later });
    expect(answer.json.data).toMatchObject({ status: "held", subject: "Held" });
    expect(api.delivery.told).toHaveLength(told);
  });

  test("If-Match lets the version through that it names", async () => {
    const id = await api.schedule({ scheduled_at: later });
    for (const tag of ['"1"', '"7", "2"', "*"]) {
      expect((await patch(id, { tags: [tag] }, { "if-match": tag })).status).toBe(200);
    }
  });

  test("edits at the same moment all end up in the email, one after the other", async () => {
    const id = await api.schedule({ scheduled_at: later });
    const edits = [{ subject: "Together" }, { body: "Both" }, { tags: ["both"] }];
    const answers = await Promise.all(edits.map((edit) => patch(id, edit)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(await read(id)).toMatchObject({
      subject: "Together",
      body: "Both",
      tags: ["both"],
      version: 4,
    });
    expect(await raw(id)).toMatchObject({ subject: "Together" });
  });
});

async function storedMessage(id: string): Promise<unknown> {
  const email = await api.deps.emails.get(id, { role: "admin", sub: "root" }, { message: true });
  return email?.message?.toString();
}

describe("404", () => {
  test("somebody else's, an unknown one, a malformed one; nothing changes", async () => {
    const id = await api.schedule({ scheduled_at: later });
    for (const body of [{ subject: "Mine" }, { scheduled_at: later }, {}]) {
      expect((await patch(id, body, {}, "eve")).status).toBe(404);
    }
    expect((await patch(crypto.randomUUID(), {})).status).toBe(404);
    expect((await patch("x", {})).status).toBe(404);
    expect(await read(id)).toMatchObject({ subject: "Hello", version: 1 });
  });
});

describe("409", () => {
  async function refused(id: string, body: unknown, code: string) {
    const before = await read(id);
    expect(await patch(id, body)).toMatchObject({ status: 409, json: { code } });
    expect(await read(id)).toEqual(before);
  }

  test("what is sent, failed or cancelled stays as it is, whatever is asked for", async () => {
    const sent = await api.schedule();
    await api.deliver(sent);
    const failed = await api.schedule();
    await api.deliver(failed, noUserReply);
    const cancelled = await api.schedule({ scheduled_at: later });
    await api.request("DELETE", `/api/v1/cancel/${cancelled}`);
    for (const body of [{ subject: "x" }, { scheduled_at: later }, { subject: "" }, {}]) {
      await refused(sent, body, "already_sent");
      await refused(failed, body, "already_failed");
      await refused(cancelled, body, "already_cancelled");
    }
  });

  test("while it is being sent", async () => {
    const id = await api.schedule();
    const { attempts } = api.delivery.deps;
    const { token } = await claimedOne(api.database, attempts, id);
    await attempts.fence(id, token, new Date());
    await refused(id, { subject: "x" }, "in_flight");
    await refused(id, { scheduled_at: later }, "in_flight");
  });
});

test("until the fence a claim refuses no change, and what was claimed is not sent as it was", async () => {
  const id = await api.schedule();
  const { attempts } = api.delivery.deps;
  const { token } = await claimedOne(api.database, attempts, id);
  expect(await read(id)).toMatchObject({ status: "pending" });
  expect((await patch(id, { subject: "Changed" })).status).toBe(200);
  expect(await attempts.fence(id, token, new Date())).toEqual({ granted: false, reason: "stale" });
  await api.deliver(id);
  expect(await read(id)).toMatchObject({ status: "sent", subject: "Changed" });
});

describe("412", () => {
  test.each(['"2"', '"1x"', 'W/"1"'])("If-Match: %s, and nothing changes", async (tag) => {
    const id = await api.schedule({ scheduled_at: later });
    const answer = await patch(id, { subject: "x" }, { "if-match": tag });
    expect(answer).toMatchObject({ status: 412, json: { code: "version_mismatch" } });
    expect(await read(id)).toMatchObject({ subject: "Hello", version: 1 });
  });
});

describe("422", () => {
  test.each<[unknown, string, string]>([
    [{ subjet: "x" }, "invalid_content", "/subjet"],
    [{ subject: null }, "invalid_content", "/subject"],
    [{ subject: "" }, "invalid_content", "/subject"],
    [{ body: null }, "invalid_content", "/body"],
    [{ recipients: [] }, "invalid_content", "/recipients"],
    [{ cc: ["bob@example.com"] }, "invalid_content", "/cc/0"],
    [{ cc: ["not an address"] }, "invalid_content", "/cc/0"],
    [{ from: "a@evil.example" }, "invalid_content", "/from"],
    [{ scheduled_at: "2020-01-01T00:00:00Z" }, "invalid_content", "/scheduled_at"],
    [{ scheduled_at: "2030-01-01T00:00:00" }, "invalid_content", "/scheduled_at"],
    [{ scheduled_at: "2034-01-01T00:00:00Z" }, "invalid_content", "/scheduled_at"],
    [{ expires_at: "2029-01-01T00:00:00Z" }, "invalid_content", "/expires_at"],
    [{ expires_at: "2032-01-01T00:00:00Z", max_lateness: 5 }, "invalid_content", "/max_lateness"],
    [{ expires_at: null, on_late: "hold" }, "invalid_content", "/on_late"],
    [{ max_retries: 21 }, "invalid_content", "/max_retries"],
    [{ raw: "eA==" }, "invalid_content", "/raw"],
    [{ individual: true }, "invalid_content", "/individual"],
    [{ region: "ams" }, "not_supported_yet", "/region"],
    [[], "invalid_content", ""],
  ])("%j, and nothing changes", async (body, code, pointer) => {
    const expires = "2033-01-01T00:00:00Z";
    const id = await api.schedule({ scheduled_at: later, expires_at: expires });
    const answer = await patch(id, body);
    expect(answer).toMatchObject({ status: 422, json: { code, errors: [{ pointer }] } });
    expect(answer.json.errors).toHaveLength(1);
    expect(await read(id)).toMatchObject({ subject: "Hello", version: 1 });
  });

  test("an If-Match without quotes is named", async () => {
    const id = await api.schedule({ scheduled_at: later });
    const answer = await patch(id, {}, { "if-match": "1" });
    expect(answer).toMatchObject({ status: 422, json: { code: "invalid_content" } });
  });
});

test("400 for a body that is no JSON", async () => {
  const id = await api.schedule({ scheduled_at: later });
  expect((await patch(id, "{")).status).toBe(400);
});
