import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  mailBody,
  startTestApi,
  type TestAnswer,
  type TestApi,
} from "../../testing/product/test-api.ts";

setDefaultTimeout(60_000);

const path = "/api/v1/schedule-mail";
let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.close());

type Scheduled = { id: string; status: string; scheduled_at: string; created_at: string };

function post(body: unknown, headers: Record<string, string> = {}, query = "") {
  return api.request<Scheduled>("POST", `${path}${query}`, { body, headers });
}

function placesOf({ json }: TestAnswer<unknown>): string[] {
  return (json.errors ?? []).map(({ pointer }) => pointer);
}

describe("201", () => {
  test("the email is durable, pending, and due at its time in UTC with milliseconds", async () => {
    const answer = await post(mailBody({ scheduled_at: "2030-06-01T12:00:00.0001+02:00" }));
    expect(answer.status).toBe(201);
    expect(answer.json as unknown).toEqual({
      success: true,
      data: {
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        status: "pending",
        scheduled_at: "2030-06-01T10:00:00.001Z",
        created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z$/),
        version: 1,
      },
    });
    const stored = await api.request("GET", `/api/v1/status/${answer.json.data.id}`);
    expect(stored.json.data).toMatchObject({ status: "pending", max_retries: 3, attempts: [] });
  });

  test("without a time it is due now, and the dispatchers hear of it", async () => {
    const answer = await post(mailBody());
    expect(answer.json.data.scheduled_at).toBe(answer.json.data.created_at);
    expect(api.delivery.told.at(-1)).toEqual({ delayMs: 0 });
  });

  test("every field of the contract is kept and shown", async () => {
    const id = await api.schedule({
      recipients: ["Bob <bob@example.com>", { address: "eve@example.com", name: "Eve" }],
      cc: ["c@example.com"],
      bcc: ["d@example.com"],
      from: "Ada <ada@example.org>",
      reply_to: "reply@example.net",
      html_body: "<p>Words</p>",
      max_retries: 0,
      max_age: 60,
      expires_at: "2031-01-01T00:00:00Z",
      on_late: "drop",
      on_uncertain: "hold",
      attachments: [
        { filename: "ä.txt", content: "aGk=", contentType: "text/plain; charset=utf-8" },
        { filename: "b.bin", content: "", content_type: "application/x-b", content_id: "b1" },
      ],
      headers: { "X-Ticket": "7" },
      tags: ["one", "two words"],
      metadata: { order: 17, nested: { deep: [true] } },
      region: "local",
      individual: false,
      raw: null,
      max_lateness: null,
      list_unsubscribe: null,
    });
    const answer = await api.request("GET", `/api/v1/emails/${id}`);
    expect(answer.json.data).toMatchObject({
      from: "Ada <ada@example.org>",
      reply_to: "reply@example.net",
      subject: "Hello",
      body: "A few words.",
      html_body: "<p>Words</p>",
      headers: { "X-Ticket": "7" },
      attachments: [
        {
          filename: "ä.txt",
          content_type: "text/plain; charset=utf-8",
          content_id: null,
          size_bytes: 2,
        },
        { filename: "b.bin", content_type: "application/x-b", content_id: "b1", size_bytes: 0 },
      ],
      tags: ["one", "two words"],
      metadata: { order: 17, nested: { deep: [true] } },
      max_retries: 0,
      recipients: [
        { address: "bob@example.com", kind: "to", status: "pending" },
        { address: "eve@example.com", kind: "to" },
        { address: "c@example.com", kind: "cc" },
        { address: "d@example.com", kind: "bcc" },
      ],
    });
  });
});

describe("idempotency", () => {
  test("the same key and body, fields in another order, store one email and answer the same", async () => {
    const headers = { "idempotency-key": "order-17" };
    const body = mailBody({ metadata: { a: 1, b: 2 } });
    const first = await post(body, headers);
    const again = await post(
      { metadata: { b: 2, a: 1 }, ...Object.fromEntries(Object.entries(body).reverse()) },
      headers,
    );
    expect([first.status, again.status]).toEqual([201, 201]);
    expect(again.json).toEqual(first.json);
    expect(first.headers.get("idempotent-replayed")).toBeNull();
    expect(again.headers.get("idempotent-replayed")).toBe("true");
  });

  test("another body under the same key is refused, and another owner's key is another", async () => {
    const headers = { "idempotency-key": "order-18" };
    await post(mailBody(), headers);
    const reused = await post(mailBody({ subject: "Other" }), headers);
    expect(reused).toMatchObject({ status: 422, json: { code: "idempotency_key_reused" } });
    const body = mailBody({ subject: "Other" });
    expect((await api.request("POST", path, { body, headers, as: "bob" })).status).toBe(201);
  });

  test("a request repeated after its time is answered as before, not refused as past", async () => {
    const clock = { now: new Date() };
    const late = await startTestApi({ now: () => clock.now });
    try {
      const body = mailBody({ scheduled_at: new Date(Date.now() + 1000).toISOString() });
      const headers = { "idempotency-key": "late" };
      const first = await late.request("POST", path, { body, headers });
      clock.now = new Date(Date.now() + 600_000);
      const again = await late.request("POST", path, { body, headers });
      expect(again.json).toEqual(first.json);
      expect(again.headers.get("idempotent-replayed")).toBe("true");
      const other = await late.request("POST", path, { body, headers: { "idempotency-key": "x" } });
      expect(other.status).toBe(422);
    } finally {
      await late.close();
    }
  });

  test.each(["", "a b", "a".repeat(256), "ä"])("the key %j is refused", async (key) => {
    expect((await post(mailBody(), { "idempotency-key": key })).status).toBe(422);
  });
});

describe("dry run", () => {
  test("shows the message and stores nothing", async () => {
    const before = api.delivery.told.length;
    const body = mailBody({ scheduled_at: "2030-06-01T12:00:00Z", html_body: "<p>x</p>" });
    const answer = await api.request<{ message: string; size_bytes: number }>(
      "POST",
      `${path}?dry_run=true`,
      { body },
    );
    expect(answer.status).toBe(200);
    const { message, size_bytes } = answer.json.data;
    expect(answer.json.data).toMatchObject({
      scheduled_at: "2030-06-01T12:00:00.000Z",
      warnings: ["scheduled_at is more than a year away."],
    });
    expect(message).toStartWith("Date: Sat, 01 Jun 2030 12:00:00 +0000\r\n");
    expect(message).toContain("Subject: Hello\r\n");
    expect(size_bytes).toBe(message.length);
    expect(api.delivery.told).toHaveLength(before);
  });

  test.each(["?dry_run=1", "?dry_run=", "?dry_run=true&dry_run=true", "?dryrun=true"])(
    "%s is refused",
    async (query) => {
      const answer = await post(mailBody(), {}, query);
      expect(answer).toMatchObject({ status: 422, json: { code: "invalid_query" } });
    },
  );
});

describe("422", () => {
  test.each<[string, Record<string, unknown>, string[]]>([
    ["a misspelt field", { schedule_at: "2030-01-01T00:00:00Z" }, ["/schedule_at"]],
    ["a field with a slash", { "a/b~c": 1 }, ["/a~1b~0c"]],
    ["no recipients", { recipients: [] }, ["/recipients"]],
    ["recipients null", { recipients: null }, ["/recipients"]],
    ["recipients as text", { recipients: "bob@example.com" }, ["/recipients"]],
    ["a bad address", { recipients: ["a@b.example", "x"] }, ["/recipients/1"]],
    ["two in one string", { cc: ["a@b.example, c@d.example"] }, ["/cc/0"]],
    [
      "an unknown field of an address",
      { recipients: [{ address: "a@b.example", nmae: "A" }] },
      ["/recipients/0/nmae"],
    ],
    [
      "51 recipients together",
      { recipients: manyAddresses(50), bcc: ["x@example.com"] },
      ["/recipients"],
    ],
    ["51 in one list", { recipients: manyAddresses(51) }, ["/recipients"]],
    ["the same address twice", { cc: ["BOB <bob@EXAMPLE.com>"] }, ["/cc/0"]],
    ["a bad address among those for answers", { reply_to: ["a@b.example", "c"] }, ["/reply_to/1"]],
    ["no address for answers", { reply_to: { name: "x" } }, ["/reply_to"]],
    ["a sender that is not allowed", { from: "a@evil.example" }, ["/from"]],
    ["no subject", { subject: undefined }, ["/subject"]],
    ["an empty subject", { subject: "" }, ["/subject"]],
    ["a long subject", { subject: "a".repeat(999) }, ["/subject"]],
    ["a line end in the subject", { subject: "a\r\nBcc: x@evil.example" }, ["/subject"]],
    ["no body", { body: null }, ["/body"]],
    ["an empty body", { body: "" }, ["/body"]],
    ["NUL in the body", { body: "a\0b" }, ["/body"]],
    ["half a pair in the body", { body: "\ud800" }, ["/body"]],
    ["a naive time", { scheduled_at: "2030-01-01T00:00:00" }, ["/scheduled_at"]],
    ["a past time", { scheduled_at: "2020-01-01T00:00:00Z" }, ["/scheduled_at"]],
    ["an empty time", { scheduled_at: "" }, ["/scheduled_at"]],
    ["a number as time", { scheduled_at: 1893456000 }, ["/scheduled_at"]],
    [
      "an end before the start",
      { scheduled_at: "2030-01-01T00:00:00Z", expires_at: "2030-01-01T00:00:00Z" },
      ["/expires_at"],
    ],
    ["an end in the past", { expires_at: "2020-01-01T00:00:00Z" }, ["/expires_at"]],
    ["drop without an end", { on_late: "drop" }, ["/on_late"]],
    ["hold without an end", { on_late: "hold", max_lateness: null }, ["/on_late"]],
    ["a lateness of zero", { max_lateness: 0, on_late: "hold" }, ["/max_lateness"]],
    ["a lateness of eleven years", { max_lateness: 346_896_000 }, ["/max_lateness"]],
    [
      "an end and a lateness",
      { expires_at: "2031-01-01T00:00:00Z", max_lateness: 60 },
      ["/max_lateness"],
    ],
    ["an unknown on_late", { on_late: "later" }, ["/on_late"]],
    ["an unknown on_uncertain", { on_uncertain: "drop" }, ["/on_uncertain"]],
    ["too many retries", { max_retries: 21 }, ["/max_retries"]],
    ["half a retry", { max_retries: 1.5 }, ["/max_retries"]],
    ["retries as text", { max_retries: "3" }, ["/max_retries"]],
    ["an age of zero", { max_age: 0 }, ["/max_age"]],
    ["a header outside the list", { headers: { Bcc: "x@evil.example" } }, ["/headers/Bcc"]],
    ["CRLF in a header", { headers: { "X-A": "a\r\nBcc: x" } }, ["/headers/X-A"]],
    ["an id that is none", { headers: { References: "<ä@example.com>" } }, ["/headers/References"]],
    ["a header twice", { headers: { "X-A": "a", "x-a": "b" } }, ["/headers/x-a"]],
    ["eleven tags", { tags: Array.from({ length: 11 }, String) }, ["/tags"]],
    ["a tag beyond ASCII", { tags: ["ä"] }, ["/tags/0"]],
    ["a long tag", { tags: ["a".repeat(65)] }, ["/tags/0"]],
    ["metadata as a list", { metadata: [] }, ["/metadata"]],
    ["large metadata", { metadata: { a: "b".repeat(16_384) } }, ["/metadata"]],
    ["NUL in metadata", { metadata: { a: ["\0"] } }, ["/metadata/a/0"]],
    ["a bad region", { region: "A B" }, ["/region"]],
  ])("%s", async (_, fields, pointers) => {
    const answer = await post(mailBody(fields));
    expect(answer).toMatchObject({ status: 422, json: { code: "invalid_content" } });
    expect(placesOf(answer)).toEqual(pointers);
    expect(answer.json.errors?.every(({ detail }) => /expected .*, got /.test(detail))).toBe(true);
  });

  test.each<[string, Record<string, unknown>, string]>([
    ["base64 with a line end", { content: "aGk=\n" }, "content"],
    ["base64 without padding", { content: "aGk" }, "content"],
    ["base64url", { content: "_-8=" }, "content"],
    ["base64 with stray bits", { content: "aGl=" }, "content"],
    ["no content", { content: undefined }, "content"],
    ["a path as name", { filename: "../a" }, "filename"],
    ["a backslash in the name", { filename: "a\\b" }, "filename"],
    ["a line end in the name", { filename: "a\r\nb" }, "filename"],
    ["a name turned around", { filename: "a\u202egpj.exe" }, "filename"],
    ["a name that hides another", { filename: "=?utf-8?q?=2e=2e=2fa?=" }, "filename"],
    ["an empty name", { filename: "" }, "filename"],
    ["a blank name", { filename: " " }, "filename"],
    ["a type with half a parameter", { contentType: "text/plain; charset" }, "contentType"],
    ["no type", { contentType: "text" }, "contentType"],
    ["a message", { contentType: "message/rfc822" }, "contentType"],
    ["a multipart", { content_type: "multipart/mixed" }, "content_type"],
    ["both types", { contentType: "a/b", content_type: "a/b" }, "content_type"],
    ["a content id in brackets", { content_id: "<a>" }, "content_id"],
    ["a path to a file", { path: "/etc/passwd" }, "path"],
  ])("an attachment with %s", async (_, fields, field) => {
    const answer = await post(
      mailBody({ attachments: [{ filename: "a.txt", content: "aGk=", ...fields }] }),
    );
    expect(answer.status).toBe(422);
    expect(placesOf(answer)).toEqual([`/attachments/0/${field}`]);
  });

  test("21 attachments", async () => {
    const attachments = Array.from({ length: 21 }, () => ({ filename: "a", content: "" }));
    expect(placesOf(await post(mailBody({ attachments })))).toEqual(["/attachments"]);
  });

  test("all faults are told at once", async () => {
    const answer = await post({ recipients: ["x"], subject: 7, schedule_at: null, tags: {} });
    expect(placesOf(answer)).toEqual([
      "/recipients/0",
      "/subject",
      "/tags",
      "/schedule_at",
      "/body",
    ]);
  });

  test.each([[null], [[]], ["text"], [7]])("a body that is no object: %j", async (body) => {
    const answer = await post(JSON.stringify(body));
    expect(answer).toMatchObject({ status: 422, json: { errors: [{ pointer: "" }] } });
  });

  test.each<[string, Record<string, unknown>]>([
    ["/list_unsubscribe", { list_unsubscribe: "https://example.org/u" }],
  ])("%s is known but not supported yet", async (pointer, fields) => {
    const answer = await post(mailBody(fields));
    expect(answer).toMatchObject({ status: 422, json: { code: "not_supported_yet" } });
    expect(placesOf(answer)).toContain(pointer);
  });

  test("headers that providers take for commands, by name, unless they are allowed", async () => {
    const names = ["X-SMTPAPI", "X-MC-BccAddress", "X-SES-Configuration-Set", "X-PM-Tag"];
    const headers = Object.fromEntries(names.map((name) => [name, "x"]));
    const answer = await post(mailBody({ headers: { ...headers, "X-Ticket": "7" } }));
    expect(answer).toMatchObject({ status: 422, json: { code: "invalid_content" } });
    expect(placesOf(answer)).toEqual(names.map((name) => `/headers/${name}`));
    const edit = { body: { headers: { "X-SMTPAPI": "{}" } } };
    const id = await api.schedule({ scheduled_at: "2035-01-01T00:00:00Z" });
    expect((await api.request("PATCH", `/api/v1/emails/${id}`, edit)).status).toBe(422);

    const sender = { ...api.deps.config.sender, headersAllowed: ["X-PM-*", "x-smtpapi"] };
    const other = await startTestApi({ config: { ...api.deps.config, sender } });
    try {
      const again = await other.request("POST", path, { body: mailBody({ headers }) });
      expect(placesOf(again)).toEqual(names.slice(1, 3).map((name) => `/headers/${name}`));
    } finally {
      await other.close();
    }
  });

  test("no sender anywhere", async () => {
    const sender = { from: null, fromName: null, allowed: null, headersAllowed: [] };
    const other = await startTestApi({ config: { ...api.deps.config, sender } });
    try {
      const answer = await other.request("POST", path, { body: mailBody() });
      expect(answer.status).toBe(422);
      expect(placesOf(answer)).toEqual(["/from"]);
      const named = await other.request("POST", path, { body: mailBody({ from: "a@b.example" }) });
      expect(named.status).toBe(201);
    } finally {
      await other.close();
    }
  });
});

describe("413", () => {
  test("attachments larger than 25 MB together", async () => {
    const content = Buffer.alloc(13 * 1024 * 1024 + 1).toString("base64");
    const attachments = ["a", "b"].map((filename) => ({ filename, content }));
    const answer = await post(mailBody({ attachments }));
    expect(answer).toMatchObject({ status: 413, json: { code: "payload_too_large" } });
  });

  test("exactly 25 MB is not too large", async () => {
    const content = Buffer.alloc(25 * 1024 * 1024, 0xa5).toString("base64");
    const body = mailBody({ attachments: [{ filename: "a.bin", content }] });
    const answer = await post(body, {}, "?dry_run=true");
    expect(answer.status).toBe(200);
  });
});

function manyAddresses(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `r${index}@example.com`);
}
