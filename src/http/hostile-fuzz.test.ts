import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { domainToASCII } from "node:url";
import fc from "fast-check";
import { type AddressObject, simpleParser } from "mailparser";
import PostalMime, { decodeWords } from "postal-mime";
import { createSmtpTransport } from "../mail/smtp-transport.ts";
import { hostileFields, hostileJson } from "../testing/fixtures/hostile.ts";
import { sinkSettings } from "../testing/product/delivery.ts";
import { startTestApi, type TestAnswer, type TestApi } from "../testing/product/test-api.ts";
import { directSql } from "../testing/servers/direct-sql.ts";
import { createSmtpSink, type SmtpSink } from "../testing/servers/smtp-sink.ts";

setDefaultTimeout(300_000);

/** FUZZ_RUNS=2000 for a night, FUZZ_SEED to see the same again; a failure prints its seed. */
const numRuns = Number(process.env.FUZZ_RUNS ?? 150);
const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));
const settings = { numRuns, seed, endOnFailure: true };

const path = "/api/v1/schedule-mail";
let api: TestApi;
let sink: SmtpSink;
beforeAll(async () => {
  sink = await createSmtpSink();
  api = await startTestApi({}, { transport: createSmtpTransport(sinkSettings(sink), {}) });
});
afterAll(async () => {
  await api?.close();
  await sink?.close();
});

type Fields = Record<string, unknown>;

/** JSON as it would come over the wire: `JSON.stringify` would hide a `__proto__`. */
const post = (body: unknown) => api.request<{ id: string }>("POST", path, { body: json(body) });
const json = (body: unknown) => JSON.stringify(body) ?? "null";

async function countOf(table: string): Promise<number> {
  const sql = await directSql(api.database);
  try {
    return Number((await sql.query(`select count(*) as n from mailer.${table}`))[0]?.n);
  } finally {
    await sql.close();
  }
}

function expectRefusal(answer: TestAnswer<unknown>): void {
  expect([400, 413, 422]).toContain(answer.status);
  expect(answer.headers.get("content-type")).toBe("application/problem+json");
  // Whatever it quotes is on one line, and cut.
  for (const { pointer, detail } of answer.json.errors ?? []) {
    expect(`${pointer}${detail}`.length).toBeLessThan(4_000);
    expect(detail).not.toMatch(/[\p{Cc}\p{Cs}\u202a-\u202e]/u);
  }
}

/** Read here once more and differently, so that our own parser is not its own judge. */
function addressOf(input: unknown): string {
  const text = typeof input === "string" ? input : (input as { address: string }).address;
  const bare = /<([^<>]*)>\s*$/.exec(text)?.[1] ?? text.trim();
  const at = bare.lastIndexOf("@");
  return `${bare.slice(0, at)}@${domainToASCII(bare.slice(at + 1))}`;
}

function listOf(input: unknown): string[] {
  return Array.isArray(input) ? input.map(addressOf) : [];
}

function nameOf(input: unknown): string {
  if (typeof input === "object" && input !== null)
    return ((input as { name?: string }).name ?? "").trim();
  const phrase = /^(.*)<[^<>]*>\s*$/s.exec(String(input))?.[1]?.trim() ?? "";
  return /^".*"$/s.test(phrase) ? phrase.slice(1, -1).replace(/\\(.)/gs, "$1").trim() : phrase;
}

/** Parsers differ in what they make of white space at folds and ends. */
const words = (text: unknown) =>
  String(text ?? "")
    .replace(/\s+/gu, " ")
    .trim();
const lines = (text: unknown) =>
  String(text ?? "")
    .replace(/\r\n?/g, "\n")
    .replace(/\n+$/, "");
const flat = (given: AddressObject | AddressObject[] | undefined) =>
  [given ?? []].flat().flatMap(({ value }) => value);

const ours = /^(date|from|to|cc|reply-to|subject|message-id|mime-version|content-.*)$/;

/** What went out is what was asked for, by two parsers that share no code, and by the envelope. */
async function expectSent(id: string, asked: Fields): Promise<void> {
  const before = sink.acceptances.length;
  await api.deliver(id);
  const [sent, ...more] = sink.acceptances.slice(before);
  expect([sent === undefined, more.length]).toEqual([false, 0]);
  if (sent === undefined) return;
  const everybody = [...listOf(asked.recipients), ...listOf(asked.cc), ...listOf(asked.bcc)];
  expect(sent.envelope.recipients).toEqual(everybody);
  expect(sent.envelope.from).toBe(asked.from ? addressOf(asked.from) : "mailer@example.org");

  const message = Buffer.from(sent.message);
  expect(message.every((byte) => byte < 0x80 && byte !== 0)).toBe(true);
  expect(message.toString("latin1").replaceAll("\r\n", "")).not.toMatch(/[\r\n]/);
  const read = await PostalMime.parse(message);
  const mail = await simpleParser(message, {
    skipHtmlToText: true,
    skipTextToHtml: true,
    skipTextLinks: true,
    skipImageLinks: true,
  });

  const names = read.headers.map(({ key }) => key);
  const askedHeaders = Object.entries((asked.headers ?? {}) as Record<string, string>);
  const added = askedHeaders.map(([name]) => name.toLowerCase());
  expect(names.filter((name) => !ours.test(name) && !added.includes(name))).toEqual([]);
  expect(new Set(names).size).toBe(names.length);
  expect(mail.headerLines.map(({ key }) => key).sort()).toEqual(names.toSorted());
  for (const [name, value] of askedHeaders) {
    const found = read.headers.find(({ key }) => key === name.toLowerCase())?.value;
    // References is written as what it is, a list of ids in angle brackets.
    const bare = (text: string) =>
      name === "References" ? words(text.replace(/[<>]/g, " ")) : words(text);
    expect([name, bare(decodeWords(found ?? ""))]).toEqual([name, bare(value)]);
  }

  expect([words(read.subject), words(mail.subject)]).toEqual(Array(2).fill(words(asked.subject)));
  for (const [field, list, listed] of [
    ["recipients", read.to, flat(mail.to)],
    ["cc", read.cc, flat(mail.cc)],
  ] as const) {
    const wanted = ((asked[field] ?? []) as unknown[]).map((one) => [
      addressOf(one),
      words(nameOf(one)),
    ]);
    expect((list ?? []).map(({ address, name }) => [address ?? "", words(name)])).toEqual(wanted);
    // mailparser shows a domain as people read it.
    expect(listed.map(({ address, name }) => [addressOf(address ?? ""), words(name)])).toEqual(
      wanted,
    );
  }
  expect([read.bcc ?? [], mail.bcc]).toEqual([[], undefined]);
  if (asked.body)
    expect([lines(read.text), lines(mail.text)]).toEqual(Array(2).fill(lines(asked.body)));
  if (asked.html_body) expect(lines(read.html)).toBe(lines(asked.html_body));

  const files = (asked.attachments ?? []) as { filename: string; content: string }[];
  const seen = read.attachments.map(({ filename, content }) => [
    words(filename),
    Buffer.from(content as ArrayBuffer).toString("base64"),
  ]);
  // Those with a content id stand beside the HTML, before the others.
  const wanted = files.map(({ filename, content }) => [words(filename), content]);
  expect(seen.toSorted()).toEqual(wanted.toSorted());
  const seenToo = mail.attachments.map(({ filename, content }) => [
    words(filename),
    content.toString("base64"),
  ]);
  expect(seenToo.toSorted()).toEqual(wanted.toSorted());
}

describe(`whatever comes (FUZZ_SEED=${seed})`, () => {
  test("to POST /schedule-mail is refused and not stored, or goes out exactly as it was asked", async () => {
    let accepted = 0;
    let refused = 0;
    const [emails, entries] = [await countOf("emails"), await countOf("journal")];
    await fc.assert(
      fc.asyncProperty(hostileFields(["recipients", "subject", "body"]), async (body) => {
        const answer = await post(body);
        if (answer.status !== 201) {
          refused += 1;
          return expectRefusal(answer);
        }
        accepted += 1;
        await expectSent(answer.json.data.id, body);
      }),
      settings,
    );
    expect((await countOf("emails")) - emails).toBe(accepted);
    // Accepted, taken by a worker, sent.
    expect(((await countOf("journal")) - entries) % Math.max(accepted, 1)).toBe(0);
    // A fuzz that only ever hears one answer proves nothing.
    expect([accepted > numRuns / 20, refused > numRuns / 20]).toEqual([true, true]);
  });

  test("to PATCH changes all of it or nothing, and what is left goes out as it stands", async () => {
    let changed = 0;
    await fc.assert(
      fc.asyncProperty(hostileFields(), async (change) => {
        const base = { recipients: ["bob@example.com"], subject: "Hello", body: "A few words." };
        const id = await api.schedule();
        const target = `/api/v1/emails/${id}`;
        const before = (await api.request("GET", target)).json.data;
        const answer = await api.request("PATCH", target, { body: json(change) });
        if (answer.status === 200) {
          changed += 1;
          return await expectSent(id, { ...base, ...change });
        }
        expectRefusal(answer);
        expect((await api.request("GET", target)).json.data).toEqual(before);
        await expectSent(id, base);
      }),
      settings,
    );
    expect(changed).toBeGreaterThan(numRuns / 20);
  });

  test("to any other route as a body, a path or a query is no 500 and changes no other route", async () => {
    const targets = [
      ...["cancel", "dead-letters/replay", "test-email", "api-keys", "schedule-mail/batch"],
      ...["schedule-mail", "emails/x", `emails/${Bun.randomUUIDv7()}/hold`],
    ];
    const query = fc.webQueryParameters().filter((text) => text.length < 200);
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: "binary" }),
      fc.constantFrom("\0", "%00", "é", "\ud800"),
    );
    const filter = fc.tuple(
      fc.constantFrom(
        ...["tag", "status", "recipient", "metadata.a", "metadata.__proto__", "metadata.", "limit"],
        ...["offset", "cursor", "scheduled_after", "group", "smtp_code"],
      ),
      text,
    );
    const isFine = (status: number) => status < 500 || status === 503;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...targets),
        hostileJson,
        fc.oneof(
          query,
          filter.map(([name, value]) => `${name}=${encodeURIComponent(value.toWellFormed())}`),
        ),
        async (target, body, search) => {
          const posted = await api.request("POST", `/api/v1/${target}`, { body: json(body) });
          expect([target, isFine(posted.status)]).toEqual([target, true]);
          for (const list of [
            "scheduled-emails",
            "dead-letters",
            "dead-letters/groups",
            "api-keys",
          ]) {
            const { status } = await api.request("GET", `/api/v1/${list}?${search}`);
            expect([list, search, isFine(status)]).toEqual([list, search, true]);
          }
        },
      ),
      settings,
    );
    expect(api.lines.filter(({ level }) => level === "error" || level === 50)).toEqual([]);
  });

  test("names that JavaScript takes for its own change nothing for anybody", async () => {
    const own = '"recipients":["bob@example.com"],"subject":"a","body":"b"';
    for (const name of ["__proto__", "constructor", "prototype"]) {
      const attempts = [
        `{${own},"${name}":{"isAdmin":true,"subject":"polluted"}}`,
        `{${own},"metadata":{"${name}":{"isAdmin":true}}}`,
        `{${own},"headers":{"${name}":"x"}}`,
        `{${own},"recipients":[{"address":"a@example.com","${name}":{"name":"x"}}]}`,
        `{"${name}":{${own}}}`,
      ];
      for (const body of attempts) {
        const answer = await api.request<{ id: string }>("POST", path, { body });
        // In metadata it is a name like any other; it is kept, and shown as it came.
        if (body.includes('"metadata"')) {
          expect(answer.status).toBe(201);
          const shown = await api.request("GET", `/api/v1/emails/${answer.json.data.id}`);
          expect(shown.text).toContain(`"metadata":{"${name}":{"isAdmin":true}}`);
        } else expect([body, answer.status]).toEqual([body, 422]);
      }
    }
    expect(({} as Fields).isAdmin).toBeUndefined();
    expect((await api.request("GET", "/api/v1/doctor")).status).toBe(403);
  });
});
