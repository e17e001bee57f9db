import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  mailBody,
  noUserReply,
  startTestApi,
  type TestApi,
} from "../../testing/product/test-api.ts";

setDefaultTimeout(60_000);

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.close());

const hello = {
  from: "Shop <shop@example.org>",
  to: "bob@example.com",
  subject: "Hello",
  text: "A few words.",
};
type Json = Record<string, unknown>;

async function post(path: string, body?: unknown, headers: Record<string, string> = {}) {
  const request = body === undefined ? { headers } : { body, headers };
  const { status, text, headers: answered } = await api.request("POST", path, request);
  return { status, json: JSON.parse(text) as Json, headers: answered };
}

const native = async (id: unknown) =>
  (await api.request("GET", `/api/v1/emails/${id}`)).json.data as Json;

describe("POST /emails", () => {
  test("200: an ordinary email, with everything that Resend's fields say", async () => {
    const { status, json } = await post("/emails", {
      ...hello,
      to: ["bob@example.com", "Eve <eve@example.com>"],
      cc: "carl@example.com",
      bcc: ["dora@example.com"],
      reply_to: ["help@example.org", "Desk <desk@example.org>"],
      html: "<h1>Hi</h1>",
      headers: { "X-Entity-Ref-ID": "7" },
      tags: [{ name: "campaign", value: "spring" }],
      attachments: [
        { filename: "a.pdf", content: "aGk=" },
        { content: { type: "Buffer", data: [104, 105] }, content_id: "logo" },
      ],
      scheduled_at: "2035-01-01T09:00:00+01:00",
    });
    expect([status, json]).toEqual([
      200,
      { id: expect.any(String), scheduled_at: "2035-01-01T08:00:00.000Z" },
    ]);
    expect(await native(json.id)).toMatchObject({
      status: "pending",
      from: "Shop <shop@example.org>",
      reply_to: ["help@example.org", "Desk <desk@example.org>"],
      body: "A few words.",
      html_body: "<h1>Hi</h1>",
      headers: { "X-Entity-Ref-ID": "7" },
      metadata: { campaign: "spring" },
      scheduled_at: "2035-01-01T08:00:00.000Z",
      attachments: [
        { filename: "a.pdf", content_type: "application/pdf", size_bytes: 2 },
        { filename: "attachment", content_id: "logo", size_bytes: 2 },
      ],
      recipients: [
        { address: "bob@example.com", kind: "to" },
        { address: "eve@example.com", kind: "to" },
        { address: "carl@example.com", kind: "cc" },
        { address: "dora@example.com", kind: "bcc" },
      ],
    });
    const cancelled = await api.request("DELETE", `/api/v1/cancel/${json.id}`);
    expect(cancelled.status).toBe(200);
  });

  test("a text part is made of the HTML, unless text is empty; null fields are none", async () => {
    const { text: _, ...html } = { ...hello, html: "<p>Dear <b>Bob</b></p>" };
    const nulls = { cc: null, bcc: null, reply_to: null, tags: null, attachments: null };
    const made = await post("/emails", { ...html, ...nulls, template: null, topic_id: null });
    expect(await native(made.json.id)).toMatchObject({ body: "Dear Bob" });
    const none = await post("/emails", { ...html, text: "" });
    expect(await native(none.json.id)).toMatchObject({ body: null });
  });

  test("a phrase is echoed as the instant that it came to", async () => {
    const before = Date.now();
    const { json } = await post("/emails", { ...hello, scheduled_at: "in 1 min" });
    const at = Date.parse(String(json.scheduled_at));
    expect(at).toBeWithin(before + 60_000, Date.now() + 60_001);
    expect(Date.parse(String((await native(json.id)).scheduled_at))).toBe(at);
  });

  test("the same Idempotency-Key: the first answer, 409 for another body, 400 for no key", async () => {
    const headers = { "idempotency-key": "order/1" };
    const body = { ...hello, scheduled_at: "in 1 hour" };
    const first = await post("/emails", body, headers);
    const again = await post("/emails", body, headers);
    expect(again.json).toEqual(first.json);
    expect(again.headers.get("idempotent-replayed")).toBe("true");
    expect(await post("/emails", hello, headers)).toMatchObject({
      status: 409,
      json: { statusCode: 409, name: "invalid_idempotent_request" },
    });
    for (const key of ["", "x".repeat(256), "a b"]) {
      const answer = await post("/emails", hello, { "idempotency-key": key });
      expect(answer).toMatchObject({ status: 400, json: { name: "invalid_idempotency_key" } });
    }
  });

  const path = { filename: "a.txt", path: "https://example.com/a.txt" };
  test.each<[unknown, number, string, string]>([
    [{ ...hello, to: undefined }, 422, "missing_required_field", "Missing `to` field."],
    [{ ...hello, from: "" }, 422, "missing_required_field", "Missing `from` field."],
    [{ ...hello, text: null }, 422, "missing_required_field", "Missing `html` or `text` field."],
    [{ ...hello, to: "bob" }, 422, "validation_error", "Invalid `to.0` field: expected an address"],
    [{ ...hello, from: "a@example.net" }, 403, "validation_error", "The example.net domain is not"],
    [{ ...hello, from: "shop" }, 422, "validation_error", "Invalid `from` field"],
    [{ ...hello, attachments: [path] }, 422, "invalid_attachment", "`attachments.0.path`"],
    [{ ...hello, attachments: [{ filename: "a" }] }, 422, "invalid_attachment", "`content`"],
    [{ ...hello, attachments: "x" }, 422, "invalid_attachment", "expected a list"],
    [{ ...hello, attachments: [{ content: "%" }] }, 422, "invalid_attachment", "base64"],
    [{ ...hello, scheduled_at: "someday" }, 422, "validation_error", '"in 5 minutes"'],
    [{ ...hello, scheduled_at: null }, 422, "validation_error", "Invalid `scheduled_at`"],
    [{ ...hello, scheduled_at: "2020-01-01T00:00:00Z" }, 422, "validation_error", "scheduled_at"],
    [{ ...hello, template: { id: "x" } }, 422, "validation_error", "Invalid `template`"],
    [{ ...hello, tags: [{ name: "a b", value: "c" }] }, 422, "validation_error", "`tags.0.name`"],
    [{ ...hello, headers: { Bcc: "x" } }, 422, "validation_error", "Invalid `headers.Bcc`"],
    [{ ...hello, reply_to: ["a@b.example", "c"] }, 422, "validation_error", "`reply_to.1`"],
    [{ ...hello, html_body: "x" }, 422, "validation_error", 'did you mean "html"?'],
    [[], 422, "validation_error", "expected an object"],
    ["{", 400, "validation_error", "JSON"],
  ])("%j: %d %s", async (body, statusCode, name, words) => {
    const { status, json } = await post("/emails", body);
    expect([status, json]).toEqual([
      statusCode,
      { statusCode, name, message: expect.stringContaining(words) },
    ]);
  });

  test("401: no key, a wrong one, one that may not", async () => {
    const ask = async (authorization?: string) => {
      const headers = authorization === undefined ? {} : { authorization };
      const { text } = await api.request("GET", "/emails", { as: null, headers });
      return JSON.parse(text);
    };
    expect(await ask()).toEqual({
      statusCode: 401,
      name: "missing_api_key",
      message: "Missing API key in the authorization header",
    });
    expect(await ask("Bearer re_123")).toMatchObject({ statusCode: 401, name: "validation_error" });
    const body = { name: "sends", scopes: ["send"] };
    const key = await api.request<{ key: string }>("POST", "/api/v1/api-keys", { body });
    expect(await ask(`Bearer ${key.json.data.key}`)).toEqual({
      statusCode: 401,
      name: "restricted_api_key",
      message: "This API key is restricted to only send emails",
    });
  });
});

describe("POST /emails/batch", () => {
  test("200: all of them in order, schedules and attachments too", async () => {
    const file = { filename: "a.txt", content: "aGk=" };
    const later = { ...hello, attachments: [file], scheduled_at: "2035-01-01T00:00:00Z" };
    const { status, json } = await post("/emails/batch", [hello, later]);
    expect([status, json]).toEqual([
      200,
      {
        data: [
          { id: expect.any(String) },
          { id: expect.any(String), scheduled_at: "2035-01-01T00:00:00.000Z" },
        ],
      },
    ]);
  });

  test("strict stores nothing when one is at fault; permissive names it and takes the rest", async () => {
    const batch = [hello, { ...hello, to: "bob" }, { ...hello, to: undefined }];
    const before = (await api.request("GET", "/api/v1/queue-stats")).json.data;
    const strict = await post("/emails/batch", batch);
    expect(strict).toMatchObject({ status: 422, json: { name: "validation_error" } });
    expect((await api.request("GET", "/api/v1/queue-stats")).json.data).toMatchObject({
      by_status: before.by_status as object,
    });
    const headers = { "x-batch-validation": "permissive", "idempotency-key": "batch-1" };
    const permissive = await post("/emails/batch", batch, headers);
    expect(permissive.json).toEqual({
      data: [{ id: expect.any(String) }],
      errors: [
        { index: 1, message: expect.stringContaining("Invalid `1.to.0` field") },
        { index: 2, message: "Missing `to` field." },
      ],
    });
    expect((await post("/emails/batch", batch, headers)).json).toEqual(permissive.json);
  });

  test("an email that is too large once it is composed is refused by its place", async () => {
    const small = await startTestApi({}, { messageBytesMax: 30_000 });
    try {
      const large = { ...hello, text: "x".repeat(40_000) };
      const body = [hello, large, { ...hello, to: "bob" }, hello];
      const headers = { "x-batch-validation": "permissive" };
      const permissive = await small.request("POST", "/emails/batch", { body, headers });
      expect(JSON.parse(permissive.text)).toEqual({
        data: [{ id: expect.any(String) }, { id: expect.any(String) }],
        errors: [
          { index: 1, message: expect.stringContaining("Invalid `1` field: The composed message") },
          { index: 2, message: expect.stringContaining("Invalid `2.to.0` field") },
        ],
      });
      const strict = await small.request("POST", "/emails/batch", { body: [hello, large] });
      expect(strict.status).toBe(413);
      expect(JSON.parse(strict.text).message).toContain("Invalid `1` field");
    } finally {
      await small.close();
    }
  });

  test.each([[{}], [[]], [Array(101).fill(hello)]])("422 for no list of 1 to 100", async (body) => {
    expect((await post("/emails/batch", body)).status).toBe(422);
  });
});

describe("GET", () => {
  test("/emails/{id} and /emails show what is there, whoever sent it", async () => {
    const as = "lists";
    const ids: string[] = [];
    for (const number of [1, 2, 3]) {
      ids.unshift(await api.schedule({ subject: `Mail ${number}`, metadata: { n: "1" } }, { as }));
    }
    const list = async (query = "") =>
      JSON.parse((await api.request("GET", `/emails${query}`, { as })).text);
    const idsOf = async (query: string) => {
      const { data, has_more } = await list(query);
      return [data.map(({ id }: { id: string }) => id), has_more];
    };
    expect(await idsOf("")).toEqual([ids, false]);
    expect(await idsOf("?limit=2")).toEqual([ids.slice(0, 2), true]);
    expect(await idsOf(`?after=${ids[0]}&limit=1`)).toEqual([[ids[1]], true]);
    expect(await idsOf(`?after=${ids[1]}`)).toEqual([[ids[2]], false]);
    expect(await idsOf(`?before=${ids[2]}`)).toEqual([ids.slice(0, 2), false]);
    expect(await idsOf(`?before=${ids[2]}&limit=1`)).toEqual([[ids[1]], true]);
    expect((await list("?limit=101")).name).toBe("validation_error");
    expect((await list(`?after=${crypto.randomUUID()}`)).name).toBe("not_found");

    const { text } = await api.request("GET", `/emails/${ids[0]}`, { as });
    expect(JSON.parse(text)).toEqual({
      object: "email",
      id: ids[0] ?? "",
      message_id: `<${ids[0]}@example.org>`,
      from: "Mailer <mailer@example.org>",
      to: ["bob@example.com"],
      cc: [],
      bcc: [],
      reply_to: [],
      subject: "Mail 3",
      created_at: expect.stringMatching(/Z$/),
      scheduled_at: null,
      last_event: "queued",
      html: null,
      text: "A few words.",
      tags: [{ name: "n", value: "1" }],
    });
  });

  test("last_event follows the email", async () => {
    const event = async (id: string) =>
      JSON.parse((await api.request("GET", `/emails/${id}`)).text).last_event;
    const later = await api.schedule({ scheduled_at: "2035-01-01T00:00:00Z" });
    expect(await event(later)).toBe("scheduled");
    await post(`/emails/${later}/cancel`);
    expect(await event(later)).toBe("canceled");
    const sent = await api.schedule();
    await api.deliver(sent);
    expect(await event(sent)).toBe("sent");
    const bounced = await api.schedule();
    await api.deliver(bounced, noUserReply);
    expect(await event(bounced)).toBe("bounced");
    const delayed = await api.schedule();
    await api.deliver(delayed, { code: 451, enhanced: "4.3.0", text: "later" });
    expect(await event(delayed)).toBe("delivery_delayed");
  });

  test("/domains is what SMTP_FROM_ALLOWED permits", async () => {
    const { text } = await api.request("GET", "/domains");
    expect(JSON.parse(text)).toMatchObject({
      object: "list",
      has_more: false,
      data: [{ name: "example.org", status: "verified" }],
    });
  });
});

describe("PATCH /emails/{id} and POST /emails/{id}/cancel", () => {
  test("200: another time; then never", async () => {
    const { json } = await post("/emails", { ...hello, scheduled_at: "2035-01-01T00:00:00Z" });
    const path = `/emails/${json.id}`;
    const patched = await api.request("PATCH", path, { body: { scheduled_at: "in 2 days" } });
    const answer = JSON.parse(patched.text);
    expect(answer).toMatchObject({ object: "email", id: json.id });
    expect((await native(json.id)).scheduled_at).toBe(answer.scheduled_at);
    for (const body of [{}, { scheduled_at: null }, { subject: "x", scheduled_at: "in 1 day" }]) {
      expect((await api.request("PATCH", path, { body })).status).toBe(422);
    }
    const cancelled = await post(`${path}/cancel`);
    expect([cancelled.status, cancelled.json]).toEqual([200, { object: "email", id: json.id }]);
    expect((await post(`${path}/cancel`)).status).toBe(200);
  });

  test("422 once it is sent; 404 for an unknown one, another path, and 405 for another method", async () => {
    const sent = await api.schedule();
    await api.deliver(sent);
    expect(await post(`/emails/${sent}/cancel`)).toMatchObject({
      status: 422,
      json: { name: "validation_error" },
    });
    expect(await post(`/emails/${crypto.randomUUID()}/cancel`)).toMatchObject({
      status: 404,
      json: { statusCode: 404, name: "not_found" },
    });
    expect(await post("/emails/x/share", mailBody())).toMatchObject({
      status: 404,
      json: { name: "not_found" },
    });
    expect(await post("/domains", {})).toMatchObject({
      status: 405,
      json: { statusCode: 405, name: "method_not_allowed" },
    });
  });
});
