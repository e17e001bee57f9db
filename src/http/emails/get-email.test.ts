import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { simpleParser } from "mailparser";
import { noUserReply, startTestApi, type TestApi } from "../../testing/product/test-api.ts";

setDefaultTimeout(60_000);

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.close());

const get = (path: string, as = "ada") => api.request("GET", `/api/v1${path}`, { as });

describe("GET /status/{id}", () => {
  test("before an attempt: exactly the fields of the contract", async () => {
    const id = await api.schedule({ scheduled_at: "2030-01-01T00:00:00Z", tags: ["t"] });
    const { status, json } = await get(`/status/${id}`);
    expect(status).toBe(200);
    expect(json as unknown).toEqual({
      success: true,
      data: {
        id,
        status: "pending",
        scheduled_at: "2030-01-01T00:00:00.000Z",
        next_attempt_at: "2030-01-01T00:00:00.000Z",
        sent_at: null,
        created_at: expect.stringMatching(/Z$/),
        subject: "Hello",
        tags: ["t"],
        metadata: {},
        region: "local",
        version: 1,
        max_retries: 3,
        attempts: [],
        recipients: [
          {
            address: "bob@example.com",
            kind: "to",
            status: "pending",
            smtp_code: null,
            enhanced_code: null,
            reply: null,
          },
        ],
      },
    });
  });

  test("after one: its outcome with code and reply, and of each recipient", async () => {
    const id = await api.schedule();
    await api.deliver(id, noUserReply);
    const { json } = await get(`/status/${id}`);
    expect(json.data).toMatchObject({ status: "failed", next_attempt_at: null });
    expect(json.data.attempts).toEqual([
      {
        number: 1,
        started_at: expect.stringMatching(/Z$/),
        ended_at: expect.stringMatching(/Z$/),
        outcome: "bounced",
        smtp_code: 550,
        enhanced_code: "5.1.1",
        reply: "No such user",
        transport: "smtp.example.net:25",
        region: "local",
      },
    ]);
    expect(json.data.recipients).toMatchObject([{ status: "bounced", smtp_code: 550 }]);
  });
});

describe("GET /emails/{id}", () => {
  test.each<[Record<string, unknown>, Record<string, unknown>]>([
    [{}, { expires_at: null, max_lateness: null, on_late: "send" }],
    [
      { max_lateness: 90 },
      { expires_at: "2030-01-01T00:01:30.000Z", max_lateness: 90, on_late: "drop" },
    ],
    [
      { max_lateness: 90, on_late: "hold" },
      { expires_at: "2030-01-01T00:01:30.000Z", max_lateness: 90, on_late: "hold" },
    ],
    [
      { expires_at: "2031-01-01T00:00:00Z" },
      { expires_at: "2031-01-01T00:00:00.000Z", max_lateness: null, on_late: "drop" },
    ],
    [
      { scheduled_at: "9999-12-31T00:00:00Z", max_lateness: 315_360_000 },
      { expires_at: "9999-12-31T23:59:59.999Z", max_lateness: 315_360_000, on_late: "drop" },
    ],
  ])(
    "asked for with %j it says when it is too late, and what happens then",
    async (fields, shown) => {
      const id = await api.schedule({ scheduled_at: "2030-01-01T00:00:00Z", ...fields });
      expect((await get(`/emails/${id}`)).json.data).toMatchObject(shown);
    },
  );
});

describe("GET /emails/{id}/raw", () => {
  test("before an attempt the Date is scheduled_at, afterwards that of the attempt", async () => {
    const id = await api.schedule({ bcc: ["secret@example.com"] });
    const scheduledAt = (await get(`/status/${id}`)).json.data.scheduled_at as string;
    const before = await get(`/emails/${id}/raw`);
    expect(before.headers.get("content-type")).toBe("message/rfc822");
    const parsed = await simpleParser(before.text);
    expect(parsed.date?.toISOString()).toBe(scheduledAt.replace(/\.\d+Z$/, ".000Z"));
    expect(parsed.subject).toBe("Hello");
    expect(before.text).not.toContain("secret@");

    await api.deliver(id);
    const after = await simpleParser((await get(`/emails/${id}/raw`)).text);
    expect(after.date?.toISOString()).toBe("2030-01-02T03:04:05.000Z");
    expect(after.messageId).toBe(parsed.messageId);
  });
});

describe("GET /emails/{id}/attachments/{n}", () => {
  const files = [
    { filename: 'ü "1".html', content: Buffer.from("<script>"), contentType: "text/html" },
    { filename: "same.bin", content: Buffer.from([1, 2]), content_id: "cid1" },
    { filename: "same.bin", content: Buffer.from([3, 4]), content_id: "cid1" },
    { filename: "empty", content: Buffer.alloc(0) },
    { filename: "dots.txt", content: Buffer.from("a\r\n.\r\n..b\n") },
  ];

  test("counts from 0 in the order of the request; equal to the byte; only to be saved", async () => {
    const id = await api.schedule({
      html_body: '<img src="cid:cid1">',
      attachments: files.map(({ content, ...file }) => ({
        ...file,
        content: content.toString("base64"),
      })),
    });
    for (const [index, { content }] of files.entries()) {
      const answer = await get(`/emails/${id}/attachments/${index}`);
      expect(answer.status).toBe(200);
      expect(Buffer.from(answer.text)).toEqual(content);
    }
    const first = await get(`/emails/${id}/attachments/0`);
    expect(first.headers.get("content-type")).toBe("text/html");
    expect(first.headers.get("content-disposition")).toBe(
      "attachment; filename=\"___1_.html\"; filename*=UTF-8''%C3%BC%20%221%22.html",
    );
    expect(first.headers.get("content-security-policy")).toContain("sandbox");
    expect(first.headers.get("x-content-type-options")).toBe("nosniff");
  });

  test("404 for one that is not there", async () => {
    const id = await api.schedule();
    for (const n of ["0", "-1", "1e0", "99999", "a"]) {
      expect((await get(`/emails/${id}/attachments/${n}`)).status).toBe(404);
    }
  });
});

describe("GET /emails/{id}/events", () => {
  test("the timeline in order", async () => {
    const id = await api.schedule();
    await api.deliver(id);
    const { status, json } = await get(`/emails/${id}/events`);
    expect(status).toBe(200);
    const events = json.data as unknown as Record<string, unknown>[];
    expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, index) => index + 1));
    expect(events[0]).toMatchObject({
      action: "email.scheduled",
      actor: "ada",
      at: expect.any(String),
    });
    expect(events.at(-1)).toMatchObject({ action: "email.sent" });
    expect(JSON.stringify(events)).not.toContain("Hello");
  });
});

describe("404", () => {
  const paths = ["/status/ID", "/emails/ID", "/emails/ID/raw", "/emails/ID/events"];

  test("somebody else's email, for every way to look at it; an admin sees it", async () => {
    const id = await api.schedule({ attachments: [{ filename: "a", content: "aGk=" }] });
    for (const path of [...paths, "/emails/ID/attachments/0"]) {
      const here = path.replace("ID", id);
      expect(await get(here, "eve")).toMatchObject({ status: 404, json: { code: "not_found" } });
      const admin = await api.request("GET", `/api/v1${here}`, { as: "root", role: "admin" });
      expect(admin.status).toBe(200);
    }
  });

  test("unknown and malformed ids", async () => {
    for (const id of [crypto.randomUUID(), "1", "a'--", "%00", "%ff", "%2e%2e", "x".repeat(5000)]) {
      // A URL's own rules make /api/v1/events of the last one.
      for (const path of id === "%2e%2e" ? paths.slice(0, -1) : paths) {
        const answer = await get(path.replace("ID", id));
        expect(answer).toMatchObject({ status: 404, json: { code: "not_found" } });
      }
    }
  });
});
