import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type ParsedMail, simpleParser } from "mailparser";
import type { EmailDraft } from "../email/email.ts";
import { isAppError } from "../errors.ts";
import { attachment, emailDraft } from "../testing/fixtures/email-draft.ts";
import { composeMessage, estimateSizeBytes, messageIdFor } from "./compose.ts";
import { withDate } from "./message-date.ts";
import { type ReadMessage, readAttachments, readMessage } from "./read-message.ts";

const messageId = "<0b5d2f4e-6a6b-4f0e-9f6e-3f1f2f9f7a11@example.com>";

async function compose(changes: Partial<EmailDraft>): Promise<Buffer> {
  const { message } = await composeMessage(emailDraft(changes), { messageId });
  return Buffer.from(message);
}

/** By two parsers that share no code, with the Date the transport would put in front. */
async function parseTwice(message: Buffer): Promise<{ mail: ParsedMail; read: ReadMessage }> {
  const sent = withDate(message, new Date("2026-11-24T03:00:00Z"));
  const mail = await simpleParser(Buffer.from(sent), {
    skipHtmlToText: true,
    skipTextToHtml: true,
    skipTextLinks: true,
    skipImageLinks: true,
  });
  return { mail, read: await readMessage(sent) };
}

function headerBlock(message: Buffer): string {
  return message.subarray(0, message.indexOf("\r\n\r\n")).toString("latin1");
}

function expectCleanOnTheWire(message: Buffer): void {
  expect(message.every((byte) => byte < 0x80 && byte !== 0)).toBe(true);
  const text = message.toString("latin1");
  expect(text.replaceAll("\r\n", "")).not.toMatch(/[\r\n]/);
  expect(text.endsWith("\r\n")).toBe(true);
  expect(Math.max(...text.split("\r\n").map((line) => line.length))).toBeLessThanOrEqual(998);
}

/** Parsers differ in whether a last line end belongs to the text. */
function trimmedLines(text: string | null | undefined): string {
  return (text ?? "").replace(/\r\n?/g, "\n").replace(/\n+$/, "");
}

describe("a composed message", () => {
  test("says what the draft says, to two independent parsers", async () => {
    const message = await compose({
      from: { address: "sender@example.com", name: "Åsa Öberg" },
      replyTo: [
        { address: "answers@example.com", name: 'The "desk", Ltd.' },
        { address: "archive@example.com", name: null },
      ],
      to: [
        { address: "one@example.org", name: "Eins, Zwei" },
        { address: "two@example.org", name: null },
      ],
      cc: [{ address: "three@xn--bcher-kva.example", name: "三" }],
      subject: "Grüße – 今日は 🎉",
      body: "Grüße\n.\n..zwei Punkte\nend",
      htmlBody: "<p>Grüße</p>",
    });
    expectCleanOnTheWire(message);
    const { mail, read } = await parseTwice(message);
    expect(mail.subject).toBe("Grüße – 今日は 🎉");
    expect(read.subject).toBe("Grüße – 今日は 🎉");
    expect(mail.from?.value).toEqual([{ address: "sender@example.com", name: "Åsa Öberg" }]);
    expect(mail.replyTo?.value).toEqual([
      { address: "answers@example.com", name: 'The "desk", Ltd.' },
      { address: "archive@example.com", name: "" },
    ]);
    const to = Array.isArray(mail.to) ? mail.to : [mail.to];
    expect(to.flatMap((list) => list?.value.map(({ address, name }) => [address, name]))).toEqual([
      ["one@example.org", "Eins, Zwei"],
      ["two@example.org", ""],
    ]);
    expect(trimmedLines(mail.text)).toBe("Grüße\n.\n..zwei Punkte\nend");
    expect(trimmedLines(read.text)).toBe("Grüße\n.\n..zwei Punkte\nend");
    expect(trimmedLines(mail.html || "")).toBe("<p>Grüße</p>");
    expect(trimmedLines(read.html)).toBe("<p>Grüße</p>");
    expect(mail.messageId).toBe(messageId);
    expect(mail.date).toEqual(new Date("2026-11-24T03:00:00Z"));
  });

  test("has the Message-ID it was given, and no Date, Bcc or X-Mailer", async () => {
    const headers = headerBlock(await compose({ bcc: [{ address: "b@example.org", name: "B" }] }));
    expect(headers).toContain(`Message-ID: ${messageId}`);
    expect(headers).not.toMatch(/^(date|bcc|x-mailer):/im);
    expect(headers).not.toContain("b@example.org");
  });

  test("says in a made-up id which email it is", () => {
    expect(messageIdFor("0b5d2f4e", { address: "a@example.com", name: null })).toBe(
      "<0b5d2f4e@example.com>",
    );
  });

  test("may have Bcc recipients only, an empty subject, an empty body", async () => {
    const message = await compose({
      to: [],
      bcc: [{ address: "b@example.org", name: null }],
      subject: "",
      body: "",
    });
    const { mail, read } = await parseTwice(message);
    expect(mail.subject ?? "").toBe("");
    expect(trimmedLines(read.text)).toBe("");
  });

  test("keeps lines short whatever the text", async () => {
    const long = "x".repeat(5_000);
    const message = await compose({ subject: "s".repeat(998), body: long, htmlBody: long });
    expectCleanOnTheWire(message);
    const { mail, read } = await parseTwice(message);
    expect(mail.subject).toBe("s".repeat(998));
    expect(read.subject).toBe("s".repeat(998));
    expect(trimmedLines(mail.text)).toBe(long);
  });

  test("shows text as it was meant that looks like an encoded-word", async () => {
    const { mail } = await parseTwice(await compose({ subject: "=?utf-8?Q?not_me?=" }));
    expect(mail.subject).toBe("=?utf-8?Q?not_me?=");
  });
});

describe("attachments", () => {
  const everyByte = Buffer.from(Array.from({ length: 70_000 }, (_, i) => (i * 31) % 256));

  test("come out to the byte, with their names", async () => {
    const attachments = [
      attachment({ filename: "Übersicht 2026.pdf", contentType: "application/pdf" }),
      attachment({ filename: 'semi;colon "quoted".txt', contentType: "text/plain" }),
      attachment({ filename: "データ.bin", content: everyByte }),
      attachment({
        filename: "invite.ics",
        contentType: "text/calendar; method=REQUEST",
        content: Buffer.from("a\r\nb\n"),
      }),
      attachment({ filename: "forward.eml", contentType: "message/rfc822" }),
      attachment({ filename: "tricky", contentType: "multipart/mixed; boundary=x" }),
      attachment({ filename: "empty.txt", content: new Uint8Array(0) }),
      attachment({
        filename: "lines.txt",
        contentType: "text/csv",
        content: Buffer.from("a\nb\r\n"),
      }),
    ];
    const message = await compose({ attachments, htmlBody: "<p>hi</p>" });
    expectCleanOnTheWire(message);
    const { mail, read } = await parseTwice(message);
    // An invitation is an alternative of the text, and so comes first.
    const invitation = attachments.filter(({ filename }) => filename === "invite.ics");
    const files = attachments.filter(({ filename }) => filename !== "invite.ics");
    const inMessage = [...invitation, ...files];
    expect(mail.attachments.map(({ filename }) => filename)).toEqual(
      inMessage.map(({ filename }) => filename),
    );
    expect(read.attachments.map(({ filename }) => filename)).toEqual(
      inMessage.map(({ filename }) => filename),
    );
    for (const [i, { content }] of inMessage.entries()) {
      expect(mail.attachments[i]?.content.equals(content)).toBe(true);
      expect(Buffer.from(read.attachments[i]?.content ?? []).equals(content)).toBe(true);
    }
    expect(read.attachments[1]?.contentType).toBe("application/pdf");
  });

  test("can be shown in the HTML by their content id", async () => {
    const logo = attachment({ filename: "logo.png", contentType: "image/png", contentId: "logo" });
    const message = await compose({ htmlBody: '<img src="cid:logo">', attachments: [logo] });
    const { mail } = await parseTwice(message);
    expect(mail.attachments[0]).toMatchObject({ cid: "logo", related: true });
    const [read] = await readAttachments(message);
    expect(read).toMatchObject({ contentId: "logo", contentType: "image/png" });
  });

  test("that are texts stay files, also with a content id", async () => {
    const file = attachment({ filename: "a.txt", contentType: "text/plain", contentId: "part-1" });
    const message = await compose({ body: "The body.", attachments: [file] });
    const { mail, read } = await parseTwice(message);
    expect([trimmedLines(mail.text), trimmedLines(read.text)]).toEqual(Array(2).fill("The body."));
    expect(mail.attachments.map(({ filename }) => filename)).toEqual(["a.txt"]);
    expect(read.attachments.map(({ filename }) => filename)).toEqual(["a.txt"]);
  });

  test("stand alone when there is no text", async () => {
    const message = await compose({ body: "", attachments: [attachment()] });
    const read = await readAttachments(message);
    expect(read.map(({ content }) => Buffer.from(content).toString())).toEqual(["content"]);
  });
});

describe("nobody can put a header into a message", () => {
  const injections = ["\r\nBcc: evil@example.net", "\nBcc: evil@example.net", "\rBcc: e@e.net"];
  for (const injection of injections) {
    test(JSON.stringify(injection), async () => {
      const message = await compose({
        from: { address: "sender@example.com", name: `N${injection}` },
        to: [{ address: "one@example.org", name: `N${injection}` }],
        subject: `S${injection}`,
        headers: { "X-Note": `H${injection}` },
        attachments: [
          attachment({
            filename: `f${injection}.txt`,
            contentType: `text/plain${injection}`,
            contentId: `c${injection}`,
          }),
        ],
      });
      expectCleanOnTheWire(message);
      const text = message.toString("latin1");
      expect(text).not.toMatch(/^bcc:/im);
      const { mail } = await parseTwice(message);
      expect(mail.bcc).toBeUndefined();
      expect(mail.subject).toBe(`S ${injection.trim()}`);
      expect(mail.from?.value[0]?.name).not.toMatch(/[\r\n]/);
      expect(mail.attachments[0]?.filename).not.toMatch(/[\r\n]/);
    });
  }

  test("nor by an address, nor by the name of a header", async () => {
    const broken: Partial<EmailDraft>[] = [
      { to: [{ address: "one@example.org\r\nBcc: e@e.net", name: null }] },
      { to: [{ address: "ünï@example.org", name: null }] },
      { headers: { "X-A: b\r\nBcc": "evil@example.net" } },
      { headers: { Bcc: "evil@example.net" } },
      { headers: { Date: "yesterday" } },
      { headers: { "Content-Type": "text/html" } },
    ];
    for (const changes of broken) {
      const outcome = await compose(changes).catch((error: unknown) => error);
      expect(isAppError(outcome, "invalid_content")).toBe(true);
    }
  });

  test("headers of the allow-list arrive as they are", async () => {
    const headers = {
      "X-Campaign": "summer – 夏",
      "List-Unsubscribe": "<https://example.com/unsubscribe?id=1>",
      References: "<a@example.com> <b@example.com>",
    };
    const message = await compose({ headers });
    const { mail } = await parseTwice(message);
    expect(headerBlock(message)).toContain("X-Campaign: =?UTF-8?Q?summer_=E2=80=93_=E5=A4=8F?=");
    expect(headerBlock(message)).toContain(
      "List-Unsubscribe: <https://example.com/unsubscribe?id=1>",
    );
    expect(mail.references).toEqual(["<a@example.com>", "<b@example.com>"]);
  });
});

test("any subject, text and file name survive, and the size was foreseen", async () => {
  const text = fc.string({ unit: "grapheme", maxLength: 300 });
  const line = fc.string({ unit: "grapheme", maxLength: 200 }).map((value) => value.trim());
  const fileName = fc
    .string({ unit: "grapheme-composite", minLength: 1, maxLength: 60 })
    .map((value) => value.replace(/\s+/g, " ").trim())
    .filter((value) => value !== "");
  await fc.assert(
    fc.asyncProperty(
      line,
      text,
      text,
      fileName,
      fc.uint8Array({ maxLength: 400 }),
      async (subject, body, htmlBody, filename, content) => {
        const draft = emailDraft({
          subject,
          body,
          htmlBody,
          attachments: [attachment({ filename, content })],
        });
        const message = Buffer.from((await composeMessage(draft, { messageId })).message);
        expectCleanOnTheWire(message);
        expect(message.length).toBeLessThanOrEqual(estimateSizeBytes(draft));
        const { mail, read } = await parseTwice(message);
        expect(collapsed(mail.subject ?? "")).toBe(collapsed(subject));
        expect(trimmedLines(mail.text)).toBe(trimmedLines(body));
        expect(trimmedLines(read.html)).toBe(trimmedLines(htmlBody));
        expect(Buffer.from(read.attachments[0]?.content ?? []).equals(content)).toBe(true);
        expect(mail.attachments[0]?.filename).toBe(filename);
      },
    ),
    { numRuns: 60 },
  );
});

/** Folding may turn one kind of white space of a header into another. */
function collapsed(value: string): string {
  return value.replace(/[\s\p{Cc}]+/gu, " ").trim();
}

test("the size foreseen is an upper bound for large and awkward content too", async () => {
  const drafts = [
    emailDraft({ body: "=".repeat(50_000) }),
    emailDraft({ body: "ü=".repeat(30_000) }),
    emailDraft({ body: "\n".repeat(20_000), htmlBody: "é".repeat(20_000) }),
    emailDraft({ attachments: [attachment({ content: Buffer.alloc(300_000, 7) })] }),
    emailDraft({ subject: "ü".repeat(998) }),
    emailDraft({
      to: Array.from({ length: 50 }, (_, i) => ({ address: `r${i}@example.org`, name: "Ä" })),
    }),
  ];
  for (const draft of drafts) {
    const { message } = await composeMessage(draft, { messageId });
    expect(message.length).toBeLessThanOrEqual(estimateSizeBytes(draft));
    expect(estimateSizeBytes(draft)).toBeLessThan(message.length * 5 + 20_000);
  }
});
