import { describe, expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { simpleParser } from "mailparser";
import PostalMime from "postal-mime";
import type { Address, EmailDraft } from "../email/email.ts";
import type { BodyPlace } from "../email/email-details.ts";
import { isAppError } from "../errors.ts";
import { awkwardDrafts } from "../testing/fixtures/awkward-drafts.ts";
import { attachment, emailDraft } from "../testing/fixtures/email-draft.ts";
import { composeByNodemailer, composeMessage, estimateSizeBytes } from "./compose.ts";
import { composePlain } from "./compose-plain.ts";
import { withDate } from "./message-date.ts";
import { readBody } from "./read-body.ts";

setDefaultTimeout(300_000);

/** FUZZ_RUNS=20000 for a night, FUZZ_SEED to see the same again; a failure prints its seed. */
const numRuns = Number(process.env.FUZZ_RUNS ?? 200);
const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));

const ids = { messageId: "<0b5d2f4e-6a6b-4f0e-9f6e-3f1f2f9f7a11@example.com>" };
/** Of the length of both: where a header is folded depends on it. */
const anyBoundary = "b".repeat(30);

/** The message with a boundary that is always the same, or the refusal as one line. */
async function outcomeOf(compose: () => Promise<Uint8Array | null>): Promise<string | null> {
  try {
    const message = await compose();
    return message && withoutBoundary(Buffer.from(message).toString("latin1"));
  } catch (error) {
    if (!isAppError(error, "invalid_content")) throw error;
    return `${error.code}: ${error.publicDetail}`;
  }
}

function withoutBoundary(message: string): string {
  const headers = message.slice(0, message.indexOf("\r\n\r\n"));
  const boundary = /^Content-Type: multipart\/alternative;\s+boundary="([^"]{30})"$/m.exec(headers);
  return boundary?.[1] ? message.replaceAll(boundary[1], anyBoundary) : message;
}

async function expectAlike(draft: EmailDraft): Promise<string> {
  const own = await outcomeOf(async () => composePlain(draft, ids)?.message ?? null);
  const theirs = await outcomeOf(async () => await composeByNodemailer(draft, ids));
  expect(own).toBe(theirs);
  return own ?? "";
}

/** What two parsers that share no code read. */
async function parse(message: Uint8Array) {
  const sent = Buffer.from(withDate(message, new Date("2026-11-24T03:00:00Z")));
  const plain = { skipHtmlToText: true, skipTextToHtml: true, skipTextLinks: true };
  const mail = await simpleParser(sent, { ...plain, skipImageLinks: true });
  const { headers, headerLines: _lines, ...read } = await PostalMime.parse(sent);
  const isStructure = (name: string) => name === "content-type";
  return {
    mail: {
      ...mail,
      headers: [...mail.headers].filter(([name]) => !isStructure(name)),
      headerLines: 0,
    },
    read: { ...read, headers: headers.filter(({ key }) => !isStructure(key)) },
  };
}

/** Parsers take a byte order mark away, and mailparser reads U+FFFD for NUL. */
function normalized(text: string | null | undefined): string {
  const lines = Buffer.from(text ?? "")
    .toString()
    .replace(/\r\n|\r/g, "\n");
  return lines.replaceAll("\0", "\ufffd").replace(/^\ufeff|\n+$/g, "");
}

/**
 * Another nodemailer may break lines elsewhere and be as right. The invariant is what parsers
 * read of it, below; the rest is then ours to follow or to let go.
 */
describe("composed by us and by nodemailer, a message is the same", () => {
  const drafts = awkwardDrafts();
  for (const [name, draft] of Object.entries(drafts)) {
    test(JSON.stringify(name), async () => void (await expectAlike(draft)));
  }

  test(`whatever is in it (FUZZ_SEED=${seed})`, async () => {
    let composed = 0;
    const check = async (draft: EmailDraft) => {
      const outcome = await expectAlike(draft);
      if (outcome.startsWith("invalid_content")) return;
      composed++;
      expect(outcome.length).toBeLessThanOrEqual(estimateSizeBytes(draft));
    };
    await fc.assert(fc.asyncProperty(anyDraft(), check), { numRuns, seed });
    expect(composed).toBeGreaterThan(numRuns / 4);
  });
});

describe("two parsers read the same from both", () => {
  const check = async (draft: EmailDraft) => {
    const own = composePlain(draft, ids)?.message;
    if (own === undefined) throw new Error("not composed");
    const [ours, theirs] = [await parse(own), await parse(await composeByNodemailer(draft, ids))];
    expect(ours).toEqual(theirs);
    expect(ours.mail.messageId).toBe(ids.messageId);
    expect(ours.mail.bcc).toBeUndefined();
    for (const { text, html } of [ours.mail, ours.read]) {
      expect([normalized(text), normalized(html || "")]).toEqual([
        normalized(draft.body),
        normalized(draft.htmlBody),
      ]);
    }
  };

  test("in every awkward draft that is not refused", async () => {
    let count = 0;
    for (const draft of Object.values(awkwardDrafts())) {
      const outcome = await outcomeOf(async () => composePlain(draft, ids)?.message ?? null);
      if (outcome?.startsWith("invalid_content")) continue;
      await check(draft);
      count++;
    }
    expect(count).toBeGreaterThan(150);
  });

  test(`in any draft (FUZZ_SEED=${seed})`, async () => {
    const drafts = fc.record({ body: anyText(), htmlBody: anyText(), subject: anyLine() });
    const property = fc.asyncProperty(drafts, async (draft) => await check(emailDraft(draft)));
    await fc.assert(property, { numRuns, seed });
  });
});

describe("the bodies, read back from the message", () => {
  /** What comes back by its place; null: it has none. */
  const readBack = (draft: EmailDraft) => {
    const composed = composePlain(draft, ids);
    if (!composed) throw new Error("not composed");
    const read = (place: BodyPlace | undefined) => place && readBody(composed.message, place);
    return { body: read(composed.places.body), htmlBody: read(composed.places.htmlBody) };
  };
  const check = (draft: EmailDraft) => {
    const back = readBack(draft);
    for (const name of ["body", "htmlBody"] as const) {
      const text = draft[name];
      expect(back[name]).toBe(text !== null && hasOneLineEnd(text) ? text : undefined);
    }
  };

  test("are what was asked for, in every awkward draft that is not refused", async () => {
    let count = 0;
    for (const draft of Object.values(awkwardDrafts())) {
      const outcome = await outcomeOf(async () => composePlain(draft, ids)?.message ?? null);
      if (outcome?.startsWith("invalid_content")) continue;
      check(draft);
      count++;
    }
    expect(count).toBeGreaterThan(150);
  });

  test(`in any draft (FUZZ_SEED=${seed})`, () => {
    const lines = (text: string) => [
      text,
      text.replace(/\r\n?/g, "\n"),
      text.replace(/\r?\n|\r/g, "\r\n"),
    ];
    const drafts = fc.record({ body: anyText(), htmlBody: anyText() });
    const property = fc.property(drafts, ({ body, htmlBody }) => {
      for (const [index, text] of lines(body).entries()) {
        check(emailDraft({ body: text, htmlBody: lines(htmlBody)[index] ?? null }));
        check(emailDraft({ body: text, htmlBody: null }));
      }
    });
    fc.assert(property, { numRuns, seed });
  });

  test("have no place where the message does not hold them to the letter", () => {
    for (const body of ["one\rtwo", "one\r\ntwo\n", "half a \ud83e pair"]) {
      expect(readBack(emailDraft({ body, htmlBody: "<p>x</p>" }))).toEqual({
        body: undefined,
        htmlBody: "<p>x</p>",
      });
    }
  });
});

/** Lines that all end alike, in LF or CRLF, and nothing that UTF-8 cannot say. */
function hasOneLineEnd(text: string): boolean {
  return text.isWellFormed() && (!text.includes("\r") || !/\r(?!\n)|(?<!\r)\n/.test(text));
}

describe("the boundary", () => {
  test("is another one each time, and cannot be part of an encoded text", async () => {
    const boundaries = new Set<string | undefined>();
    for (let i = 0; i < 50; i++) {
      const { message } = await composeMessage(emailDraft({ htmlBody: "<p>both</p>" }), ids);
      boundaries.add(/boundary="([^"]+)"/.exec(Buffer.from(message).toString("latin1"))?.[1]);
    }
    expect(boundaries.size).toBe(50);
    for (const boundary of boundaries) expect(boundary).toMatch(/^=_[0-9a-f]{28}$/);
  });
});

test("a message stays as it is while others are composed, large or small", () => {
  const bodies = [1_000, 40_000, 90_000, 300_000].map((length) =>
    "=small or large ".repeat(length / 16),
  );
  const [first, ...others] = [...bodies, ...bodies].map((body) => {
    const { message = new Uint8Array() } =
      composePlain(emailDraft({ body, htmlBody: body }), ids) ?? {};
    return { message, was: Buffer.from(message) };
  });
  for (const { message, was } of others) expect(was.equals(message)).toBe(true);
  expect(first?.was.equals(first.message)).toBe(true);
});

describe("left to nodemailer", () => {
  const left: Record<string, Partial<EmailDraft>> = {
    attachments: { attachments: [attachment()] },
    "a draft without any text": { body: null, htmlBody: null },
  };
  for (const [name, changes] of Object.entries(left)) {
    test(name, async () => {
      expect(composePlain(emailDraft(changes), ids)).toBeNull();
      const { message } = await composeMessage(emailDraft(changes), ids);
      expect(Buffer.from(message).toString()).toContain(`Message-ID: ${ids.messageId}\r\n`);
    });
  }

  test("a Message-ID that is none", () => {
    for (const messageId of ["a@b", "<a b@c>", "<a@b>\r\nBcc: e@e.net", "<ä@b>", ""]) {
      expect(composePlain(emailDraft(), { messageId })).toBeNull();
    }
  });
});

function anyText(): fc.Arbitrary<string> {
  const fragment = fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 30 }),
    fc.string({ unit: "binary", maxLength: 10 }),
    fc.string({ unit: "grapheme-ascii", maxLength: 90 }),
    fc.constantFrom(
      "\r\n",
      "\n",
      "\r",
      " ",
      "\t",
      "=",
      ".",
      "é",
      "漢",
      "🎉",
      "\ud83e",
      "\0",
      "word ",
    ),
  );
  const times = fc.constantFrom(1, 1, 1, 1, 10, 200);
  return fc
    .tuple(fc.array(fragment, { maxLength: 40 }), times)
    .map(([fragments, count]) => fragments.join("").repeat(count));
}

function anyLine(): fc.Arbitrary<string> {
  const unit = fc.constantFrom("grapheme" as const, "binary" as const, "grapheme-ascii" as const);
  const fragment = fc.oneof(
    unit.chain((value) => fc.string({ unit: value, maxLength: 40 })),
    fc.constantFrom(
      "=?utf-8?Q?x?=",
      "\r\n",
      "\n",
      " ",
      '"',
      "\\",
      ",",
      "<",
      "word ",
      "w".repeat(201),
    ),
  );
  return fc.array(fragment, { maxLength: 8 }).map((fragments) => fragments.join(""));
}

function anyMailbox(): fc.Arbitrary<Address> {
  const local = fc.oneof(
    fc.stringMatching(/^[a-zA-Z0-9.+'_-]{1,20}$/),
    fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 8 }),
  );
  const domain = fc.oneof(
    fc.stringMatching(/^[a-z0-9-]{1,12}(\.[a-z0-9-]{1,12}){0,3}$/),
    fc.stringMatching(/^[A-Za-z0-9.[\]:_-]{1,20}$/),
    fc.constantFrom("example.org", "EXAMPLE.org", "xn--bcher-kva.example", "[192.0.2.1]", "0x7f.1"),
  );
  const address = fc.tuple(local, domain).map(([user, host]) => `${user}@${host}`);
  return fc.record({ address, name: fc.option(anyLine()) });
}

function anyDraft(): fc.Arbitrary<EmailDraft> {
  const list = fc.array(anyMailbox(), { maxLength: 5 });
  const name = fc.oneof(
    fc.stringMatching(/^[XxLl]-[A-Za-z0-9-]{1,20}$/),
    fc.constantFrom(
      "References",
      "In-Reply-To",
      "List-ID",
      "X-MD5",
      "X-SMTPAPI",
      "Importance",
      "Bcc",
    ),
  );
  const texts = fc.constantFrom("text", "html", "both");
  const changes = fc.record({
    from: anyMailbox(),
    replyTo: fc.array(anyMailbox(), { maxLength: 3 }),
    to: list,
    cc: list,
    bcc: list,
    subject: anyLine(),
    headers: fc.dictionary(name, anyLine(), { maxKeys: 4 }),
  });
  return fc.tuple(changes, texts, anyText(), anyText()).map(([change, which, body, htmlBody]) =>
    emailDraft({
      ...change,
      body: which === "html" ? null : body,
      htmlBody: which === "text" ? null : htmlBody,
    }),
  );
}
