import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { simpleParser } from "mailparser";
import { mailBody, startTestApi, type TestApi } from "../../testing/product/test-api.ts";

// What went wrong with messages for users of other mailers, each case with the right value.

setDefaultTimeout(60_000);

const path = "/api/v1/schedule-mail";
const later = "2035-06-01T09:00:00Z";
const gap = " ".repeat(160);

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.close());

function post(body: unknown, as = "ada") {
  return api.request<{ id: string }>("POST", path, { body, as });
}

/** A body whose numbers reach the server as they are written here. */
function withMetadata(metadata: string, fields: Record<string, unknown> = {}): string {
  return JSON.stringify(mailBody({ scheduled_at: later, ...fields, metadata: "@" })).replace(
    '"@"',
    metadata,
  );
}

/** The message a body comes to, without storing anything. */
async function messageOf(fields: Record<string, unknown>): Promise<string> {
  const answer = await api.request<{ message: string }>("POST", `${path}?dry_run=true`, {
    body: mailBody(fields),
  });
  expect([answer.status, answer.json.errors]).toEqual([200, undefined]);
  return answer.json.data.message;
}

async function faultsOf(fields: Record<string, unknown>) {
  const answer = await post(mailBody(fields));
  expect(answer.status).toBe(422);
  return answer.json.errors ?? [];
}

function headersOf(message: string): string {
  return message.slice(0, message.indexOf("\r\n\r\n"));
}

function bodyOf(message: string): string {
  return message.slice(message.indexOf("\r\n\r\n") + 4);
}

function unfolded(message: string, name: string): string | undefined {
  const headers = headersOf(message).replace(/\r\n(?=[ \t])/g, "");
  return new RegExp(`^${name}: *(.*)$`, "im").exec(headers)?.[1];
}

function expectNoBlankLine(message: string): void {
  for (const line of headersOf(message).split("\r\n")) expect(line.trim()).not.toBe("");
}

describe("a number that a double cannot hold is refused, never rounded", () => {
  const numbers = ["76561198000000001", "12345678901234567890.5", "-9007199254740993", "1e-400"];
  for (const number of numbers) {
    test(`${number} in the metadata of an email, at any depth`, async () => {
      for (const [metadata, pointer] of [
        [`{"customer_id":${number}}`, "/metadata/customer_id"],
        [`{"a":[{"b":${number}}]}`, "/metadata/a/0/b"],
      ] as const) {
        const answer = await post(withMetadata(metadata));
        expect([answer.status, answer.json.errors?.map((fault) => fault.pointer)]).toEqual([
          422,
          [pointer],
        ]);
        expect(answer.json.errors?.[0]?.detail).toContain(number);
      }
    });
  }

  test("in bulk cancel, whose filter would match other customers' emails", async () => {
    const as = "numbers";
    const near = await post(withMetadata('{"customer_id":76561198000000000}'), as);
    expect(near.status).toBe(201);
    const body = '{"metadata":{"customer_id":76561198000000001}}';
    const answer = await api.request("POST", "/api/v1/cancel", { body, as });
    expect([answer.status, answer.json.errors?.[0]?.pointer]).toEqual([
      422,
      "/metadata/customer_id",
    ]);
    const replay = await api.request("POST", "/api/v1/dead-letters/replay", {
      body: `{"filter":${body}}`,
      as,
    });
    expect([replay.status, replay.json.errors?.[0]?.pointer]).toEqual([
      422,
      "/filter/metadata/customer_id",
    ]);
    const status = await api.request("GET", `/api/v1/status/${near.json.data.id}`, { as });
    expect(status.json.data.status).toBe("pending");
  });

  test("in a batch, where a permissive one stores the others", async () => {
    const emails = [withMetadata('{"id":76561198000000001}'), withMetadata('{"id":7}')];
    const body = `{"mode":"permissive","emails":[${emails.join(",")}]}`;
    const answer = await api.request("POST", `${path}/batch`, { body, as: "batch" });
    expect(answer.json.data).toMatchObject([
      { index: 0, error: { errors: [{ pointer: "/emails/0/metadata/id" }] } },
      { index: 1, id: expect.any(String) },
    ]);
  });

  test("in PATCH, in a field of a number, and in place of an object", async () => {
    const { json } = await post(mailBody({ scheduled_at: later }));
    for (const [body, pointer] of [
      ['{"metadata":{"id":76561198000000001}}', "/metadata/id"],
      ['{"metadata":76561198000000001}', "/metadata"],
      ['{"max_retries":3.00000000000000001}', "/max_retries"],
      ["76561198000000001", ""],
    ] as const) {
      const answer = await api.request("PATCH", `/api/v1/emails/${json.data.id}`, { body });
      expect([answer.status, answer.json.errors?.map((one) => one.pointer)]).toEqual([
        422,
        [pointer],
      ]);
    }
  });

  test("and one that a double holds is found by its digits, in the list and in bulk", async () => {
    const as = "digits";
    for (const number of ["9007199254740994", "1e21", "0.0000001", "1.50"]) {
      const { status } = await post(withMetadata(`{"id":${number}}`), as);
      expect(status).toBe(201);
      const body = `{"metadata":{"id":${number}}}`;
      const { json } = await api.request("POST", "/api/v1/cancel", { body, as });
      expect(json.data).toMatchObject({ matched: 1, cancelled: 1 });
    }
    const filter = "/api/v1/scheduled-emails?metadata.id=9007199254740994";
    expect((await api.request("GET", filter, { as })).json.data).toHaveLength(1);
  });
});

describe("a header with a grammar is never written in encoded-words", () => {
  const url = `<https://n.example.com/u?t=${"i".repeat(900)}>`;
  const values: Record<string, string> = {
    "List-Unsubscribe": `<https://n.example.com/u?t=${"i".repeat(220)}>, <mailto:u@example.com>`,
    "List-Help": url,
    "List-Archive": "<https://n.example.com/?x=?y&z=1>",
    "Auto-Submitted": `auto-generated; id=${"a".repeat(250)}`,
    "X-Campaign-Variables": JSON.stringify({ token: "t".repeat(300), list: ["a", "b"] }),
    References: `<${"r".repeat(240)}@example.com> <b@example.com>`,
  };
  for (const [name, value] of Object.entries(values)) {
    test(`${name}, with a long word`, async () => {
      const message = await messageOf({ headers: { [name]: value } });
      expect(unfolded(message, name)).toBe(value);
      expect(unfolded(message, name)).not.toMatch(/=\?utf-8/i);
      expect(Math.max(...message.split("\r\n").map((line) => line.length))).toBeLessThanOrEqual(
        998,
      );
    });
  }

  test("mail programs find the address to unsubscribe at", async () => {
    const message = await messageOf({
      headers: { "List-Unsubscribe": values["List-Unsubscribe"] },
    });
    const { headers } = await simpleParser(message);
    expect(headers.get("list")).toMatchObject({
      unsubscribe: { url: `https://n.example.com/u?t=${"i".repeat(220)}`, mail: "u@example.com" },
    });
  });

  test("what is not ASCII, or fits no line, is refused at its pointer", async () => {
    const refused: Record<string, string> = {
      "List-Unsubscribe": "<https://n.example.com/größe>",
      "List-Id": "Größe <l.example.com>",
      "Auto-Submitted": "ja, natürlich",
      Precedence: "größer",
      "List-Post": "=?utf-8?q?hidden?=",
      "X-Variables": '{"city":"Köln"}',
      "X-Long": "x".repeat(998),
    };
    for (const [name, value] of Object.entries(refused)) {
      const faults = await faultsOf({ headers: { [name]: value } });
      expect(faults.map(({ pointer }) => pointer)).toEqual([`/headers/${name}`]);
    }
  });

  test("free text is still encoded", async () => {
    const message = await messageOf({ headers: { "X-Note": "Grüße" } });
    expect(unfolded(message, "X-Note")).toMatch(/^=\?UTF-8\?/);
  });
});

describe("no line of the header is blank", () => {
  test("with wide gaps in the subject, whose text stays the same", async () => {
    const message = await messageOf({ subject: `Invoice${gap}4711` });
    expectNoBlankLine(message);
    expect(unfolded(message, "Subject")).toBe(`Invoice${gap}4711`);
  });

  test("in other headers and in names", async () => {
    const wide = (name: string) => ({ address: `${name}@example.net`, name: `A${gap}B` });
    const message = await messageOf({
      recipients: [wide("to"), wide("two")],
      cc: [wide("cc")],
      reply_to: wide("reply"),
      headers: { "X-Note": `a${gap}b`, "List-Id": `a${gap}<l.example.com>` },
    });
    expectNoBlankLine(message);
    expect(unfolded(message, "X-Note")).toBe(`a${gap}b`);
    expect(unfolded(message, "To")).toBe("A B <to@example.net>, A B <two@example.net>");
  });

  test("in an attachment's headers", async () => {
    const contentType = `application/pdf; title="a${gap}b"`;
    const attachments = [{ filename: `a${gap}b.pdf`, content: "JVBERg==", contentType }];
    const message = await messageOf({ attachments });
    expect((await simpleParser(message)).attachments[0]?.filename).toBe("a b.pdf");
    const parts = message.split(/\r\n--[^\r\n]+\r\n/).slice(0, -1);
    expect(parts).toHaveLength(3);
    for (const part of parts) expectNoBlankLine(part);
    const { json } = await post(mailBody({ attachments, scheduled_at: later }));
    const target = `/api/v1/emails/${json.data.id}`;
    // An edit reads the files back from the message, and the name stays as it was asked for.
    expect((await api.request("PATCH", target, { body: { subject: "New" } })).status).toBe(200);
    const read = await api.request("GET", target);
    expect(read.json.data).toMatchObject({ attachments: [{ filename: `a${gap}b.pdf` }] });
  });
});

describe("a media type with parameters, as mail libraries hand it over", () => {
  const types = {
    'application/pdf; name="Invoice (1).pdf"': "application/pdf",
    'image/jpeg; name="a\'b.jpg"': "image/jpeg",
    'application/octet-stream; name="a,b.bin"': "application/octet-stream",
    "text/plain;": "text/plain",
    "text/plain ; charset=utf-8": "text/plain",
    "application/pdf; name*=UTF-8''R%C3%A4.pdf": "application/pdf",
    'text/calendar; method=REQUEST; charset="utf-8"': "text/calendar",
  };
  for (const [contentType, type] of Object.entries(types)) {
    test(contentType, async () => {
      const attachments = [{ filename: "file.bin", content: "JVBERg==", contentType }];
      const { attachments: found } = await simpleParser(await messageOf({ attachments }));
      expect(found).toMatchObject([{ filename: "file.bin", contentType: type }]);
    });
  }

  test("what RFC 2045 does not allow is refused", async () => {
    const refused = [
      "",
      "application/pdf; name=Rechnung_März.pdf",
      "a/b; c",
      'a/b; c="d',
      "a/b; ;",
    ];
    for (const contentType of [...refused, 'a/b; c="\r\nX: y"', `a/b;${" ".repeat(1_000)}x=y`]) {
      const attachments = [{ filename: "file.bin", content: "JVBERg==", contentType }];
      const faults = await faultsOf({ attachments });
      expect(faults.map(({ pointer }) => pointer)).toEqual(["/attachments/0/contentType"]);
    }
  });
});

describe("addresses that differ in letter case only are one person", () => {
  test("twice in one email they are refused", async () => {
    const faults = await faultsOf({ recipients: ["Bob@example.net"], cc: ["bob@example.net"] });
    expect(faults.map(({ pointer }) => pointer)).toEqual(["/cc/0"]);
  });

  test("the filter finds them, and an edit does not add the same person again", async () => {
    const as = "cases";
    const { json } = await post(
      mailBody({ recipients: ["Bob@example.net"], scheduled_at: later }),
      as,
    );
    for (const recipient of ["BOB@EXAMPLE.NET", "bob@example.net", "Bob@example.net"]) {
      const list = `/api/v1/scheduled-emails?recipient=${recipient}`;
      expect((await api.request("GET", list, { as })).json.data).toMatchObject([
        { id: json.data.id },
      ]);
    }
    const body = { cc: ["bOB@example.net"] };
    const edit = await api.request("PATCH", `/api/v1/emails/${json.data.id}`, { body, as });
    expect([edit.status, edit.json.errors?.[0]?.pointer]).toEqual([422, "/cc/0"]);
  });
});

test("a subject of nothing that is seen is refused as an empty one is", async () => {
  for (const subject of ["", "   ", "\u00a0\u3000", "\u200b \u2060"]) {
    expect((await faultsOf({ subject })).map(({ pointer }) => pointer)).toEqual(["/subject"]);
  }
});

describe("an email that is only an attachment", () => {
  const attachments = [
    { filename: "scan.pdf", content: "JVBERg==", contentType: "application/pdf" },
  ];

  test("needs no text", async () => {
    for (const text of [{ body: "" }, { body: undefined }, { body: null, html_body: "" }]) {
      const { text: read, attachments: found } = await simpleParser(
        await messageOf({ ...text, attachments }),
      );
      expect((read ?? "").trim()).toBe("");
      expect(found).toMatchObject([{ filename: "scan.pdf", contentType: "application/pdf" }]);
    }
    const { status } = await post(mailBody({ body: "", scheduled_at: later, attachments }));
    expect(status).toBe(201);
  });

  test("keeps its file when another field is edited, and may not lose it", async () => {
    const { json } = await post(mailBody({ body: "", scheduled_at: later, attachments }));
    const target = `/api/v1/emails/${json.data.id}`;
    expect((await api.request("PATCH", target, { body: { subject: "New" } })).status).toBe(200);
    const raw = await simpleParser((await api.request("GET", `${target}/raw`)).text);
    expect(raw.attachments).toMatchObject([{ filename: "scan.pdf" }]);
    const edit = await api.request("PATCH", target, { body: { attachments: [] } });
    expect([edit.status, edit.json.errors?.[0]?.pointer]).toEqual([422, "/body"]);
    const none = await faultsOf({ body: "", attachments: [] });
    expect(none.map(({ pointer }) => pointer)).toEqual(["/body"]);
  });
});

test("an invisible character in an address is named, with its place", async () => {
  const addresses: Record<string, string> = {
    "\u200bbob@example.com": "U+200B at 1",
    "\ufeffbob@example.com": "U+FEFF at 1",
    "bob\u00a0@example.com": "U+00A0 at 4",
    "bob@exam\u200bple.com": "U+200B at 9",
    "Bob <bob\u2060@example.com>": "U+2060 at 4",
    "bob@example.com\t": "U+0009 at 16",
  };
  for (const [address, place] of Object.entries(addresses)) {
    const [fault] = await faultsOf({ recipients: [address] });
    expect(fault?.pointer).toBe("/recipients/0");
    expect(fault?.detail).toContain(place);
    expect(fault?.detail).not.toMatch(/(?! )[\p{Cc}\p{Cf}\p{Z}]/u);
    expect(fault?.detail).not.toContain("SMTPUTF8");
  }
});

describe("a dot and From at the start of a line", () => {
  const body = `Hello\nFrom here it goes on\n.\n..b\n${"x".repeat(74)}..yyyyy\n.${"z".repeat(74)}`;

  test("are encoded, with an attachment and without", async () => {
    const attachments = [{ filename: "a.txt", content: "Li4K", contentType: "text/plain" }];
    for (const more of [{}, { attachments }, { html_body: "<p>\n.x</p>" }]) {
      const message = await messageOf({ body, ...more });
      expect(bodyOf(message)).not.toMatch(/(?:^|\n)(?:\.|From )/);
      expect(message).toContain("=46rom here it goes on");
      for (const line of bodyOf(message).split("\r\n")) expect(line.length).toBeLessThanOrEqual(76);
      expect((await simpleParser(message)).text?.trimEnd()).toBe(body);
    }
  });
});
