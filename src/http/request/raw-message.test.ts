import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { startTestApi, type TestApi } from "../../testing/product/test-api.ts";

setDefaultTimeout(60_000);

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.close());

const lines = (...all: string[]) => `${all.join("\r\n")}\r\n`;
const signed = lines(
  "From: =?utf-8?q?Sh=C3=B6p?= <shop@example.org>",
  "To: undisclosed-recipients:;",
  "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=",
  "Message-ID: <1@example.org>",
  'Content-Type: multipart/signed; protocol="application/pgp-signature"; boundary=b',
  "MIME-Version: 1.0",
  "",
  "--b",
  "Content-Type: text/plain",
  "",
  "signed  text \t",
  ".",
  "--b--",
);
const base64 = (text: string) => Buffer.from(text, "latin1").toString("base64");
const later = "2035-01-01T00:00:00Z";

function post(fields: Record<string, unknown>) {
  const body = { recipients: ["bob@example.com"], scheduled_at: later, ...fields };
  return api.request<{ id: string }>("POST", "/api/v1/schedule-mail", { body });
}
const raw = async (id: string) => (await api.request("GET", `/api/v1/emails/${id}/raw`)).text;

describe("raw", () => {
  test("is sent byte for byte behind a Date, its envelope from the fields", async () => {
    const answer = await post({ raw: base64(signed), bcc: ["eve@example.com"] });
    expect(answer.status).toBe(201);
    const { id } = answer.json.data;
    expect(await raw(id)).toBe(`Date: Mon, 01 Jan 2035 00:00:00 +0000\r\n${signed}`);
    const { json } = await api.request("GET", `/api/v1/emails/${id}`);
    expect(json.data).toMatchObject({
      subject: "Grüße",
      raw: true,
      body: null,
      html_body: null,
      attachments: [],
      recipients: [{ address: "bob@example.com" }, { address: "eve@example.com", kind: "bcc" }],
    });
    await api.request("POST", `/api/v1/emails/${id}/send-now`);
    await api.deliver(id);
    expect((await api.request("GET", `/api/v1/status/${id}`)).json.data.status).toBe("sent");
  });

  test("a Date of its own stays, and Bcc goes, folded lines and all", async () => {
    const dated = `Date: Sun, 1 Jan 2034 00:00:00 +0000\r\n${signed}`;
    const first = await post({ raw: base64(dated) });
    expect(await raw(first.json.data.id)).toBe(dated);
    const hidden = `Bcc: eve@example.com,\r\n carl@example.com\r\n${dated}`;
    const second = await post({ raw: base64(hidden) });
    expect(await raw(second.json.data.id)).toBe(dated);
  });

  test("its time can be changed, its content cannot", async () => {
    const { id } = (await post({ raw: base64(signed) })).json.data;
    const patch = (body: object) => api.request("PATCH", `/api/v1/emails/${id}`, { body });
    expect((await patch({ scheduled_at: "2035-01-02T00:00:00Z", tags: ["x"] })).status).toBe(200);
    for (const body of [
      { subject: "x" },
      { recipients: ["a@b.example"] },
      { raw: base64(signed) },
    ]) {
      expect((await patch(body)).status).toBe(422);
    }
    expect(await raw(id)).toContain("signed  text \t");
  });

  const head = "From: shop@example.org\r\n";
  test.each<[string, Record<string, unknown>, string]>([
    ["a bare LF", { raw: base64(`${head}\r\na\nb`) }, "bare LF in line 3"],
    ["a bare CR", { raw: base64(`${head}\r\na\rb`) }, "bare CR in line 3"],
    ["NUL", { raw: base64(`${head}\r\na\0b`) }, "NUL in line 3"],
    ["8 bits", { raw: base64(`${head}\r\n\xe4`) }, "8-bit byte 0xe4 in line 3"],
    ["a long line", { raw: base64(`${head}\r\n${"x".repeat(999)}`) }, "999 bytes in line 3"],
    ["no From", { raw: base64("Subject: x\r\n\r\nx") }, "got none"],
    ["two From", { raw: base64(`${head}${head}\r\nx`) }, "from once"],
    [
      "several authors",
      { raw: base64("From: a@example.org, b@example.org\r\n\r\n") },
      "header from",
    ],
    ["another domain", { raw: base64("From: a@example.net\r\n\r\nx") }, "SMTP_FROM_ALLOWED"],
    [
      "another sender",
      { raw: base64(`${head}Sender: a@example.net\r\n\r\nx`) },
      "SMTP_FROM_ALLOWED",
    ],
    ["no header", { raw: base64("just a text\r\n") }, "header fields"],
    ["no base64", { raw: "%" }, "base64"],
    ["a number", { raw: 7 }, "base64"],
  ])("422 for %s", async (_, fields, words) => {
    const { status, json } = await post(fields);
    expect([status, json.errors]).toEqual([
      422,
      [{ pointer: "/raw", detail: expect.stringContaining(words) }],
    ]);
  });

  test.each(["subject", "body", "html_body", "reply_to"])("422 for %s beside it", async (name) => {
    const answer = await post({ raw: base64(signed), [name]: "a@example.org" });
    expect(answer).toMatchObject({ status: 422, json: { errors: [{ pointer: `/${name}` }] } });
  });
});

describe("individual: true", () => {
  const mail = { subject: "Hello", body: "Hi", individual: true };
  const recipients = ["Ann <ann@example.com>", "bob@example.com"];

  test("201: one email each, as a batch is answered, once for its key", async () => {
    const body = { ...mail, recipients, scheduled_at: later };
    const send = () =>
      api.request<{ index: number; id: string }[]>("POST", "/api/v1/schedule-mail", {
        body,
        headers: { "idempotency-key": "each" },
      });
    const { status, json } = await send();
    expect([status, json.data]).toEqual([
      201,
      [
        { index: 0, id: expect.any(String) },
        { index: 1, id: expect.any(String) },
      ],
    ]);
    const first = await raw(json.data[0]?.id ?? "");
    expect(first).toContain("To: Ann <ann@example.com>\r\n");
    expect(first).not.toContain("bob@example.com");
    expect((await send()).json.data).toEqual(json.data);
  });

  test("of a dry run the first is shown", async () => {
    const body = { ...mail, recipients };
    const dry = await api.request("POST", "/api/v1/schedule-mail?dry_run=true", { body });
    expect(dry.json.data.message).not.toContain("bob@example.com");
  });

  test.each<[string, unknown, string]>([
    ["cc", { ...mail, recipients, cc: ["eve@example.com"] }, "/cc"],
    ["a text", { ...mail, recipients, individual: "yes" }, "/individual"],
    ["no recipients", { ...mail, bcc: ["eve@example.com"] }, "/bcc"],
  ])("422 for %s", async (_, body, pointer) => {
    const answer = await api.request("POST", "/api/v1/schedule-mail", { body });
    expect(answer).toMatchObject({ status: 422, json: { errors: [{ pointer }] } });
  });

  test("422 within a batch, and in an edit", async () => {
    const emails = [{ ...mail, recipients }];
    const batch = await api.request("POST", "/api/v1/schedule-mail/batch", { body: { emails } });
    expect(batch).toMatchObject({
      status: 422,
      json: { errors: [{ pointer: "/emails/0/individual" }] },
    });
    const id = await api.schedule({ scheduled_at: later });
    const body = { individual: true };
    const edit = await api.request("PATCH", `/api/v1/emails/${id}`, { body });
    expect(edit).toMatchObject({ status: 422, json: { errors: [{ pointer: "/individual" }] } });
  });
});

test("a calendar with a method is an alternative of the text, and can be read back", async () => {
  const calendar = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n";
  const id = await api.schedule({
    html_body: "<p>Come</p>",
    scheduled_at: later,
    attachments: [
      {
        filename: "invite.ics",
        content: base64(calendar),
        contentType: "text/calendar; charset=utf-8; method=REQUEST",
      },
      { filename: "map.png", content: "aGk=", contentType: "image/png" },
    ],
  });
  const message = await raw(id);
  const alternative = /boundary="([^"]+)"/.exec(
    message.slice(message.search(/multipart\/alternative/)),
  );
  const parts = message.split(`--${alternative?.[1]}`);
  expect(parts.map((part) => /Content-Type: ([^;\r]+)/.exec(part)?.[1]).slice(1, 4)).toEqual([
    "text/plain",
    "text/html",
    "text/calendar",
  ]);
  expect(message).toMatch(/Content-Type: text\/calendar;[\s\S]*?method=REQUEST/);
  const file = await api.request("GET", `/api/v1/emails/${id}/attachments/0`);
  expect(file.text).toBe(calendar);
  expect((await api.request("GET", `/api/v1/emails/${id}/attachments/1`)).text).toBe("hi");
});
