import type { Address, EmailDraft } from "../email/email.ts";
import { emailDraft } from "./email-draft.ts";

/** Drafts without attachments that are hard to write down right, each under what is hard in it. */
export function awkwardDrafts(): Record<string, EmailDraft> {
  const changes = { ...bodies(), ...subjects(), ...mailboxes(), ...headers(), ...injections() };
  return Object.fromEntries(
    Object.entries(changes).map(([name, change]) => [name, emailDraft(change)]),
  );
}

type Changes = Record<string, Partial<EmailDraft>>;

const words = "The quick brown fox jumps over the lazy dog. ";

/** As a text, as HTML, and as both: what is hard in one is hard in each. */
function bodies(): Changes {
  const texts: Record<string, string> = {
    "an empty body": "",
    "one character": "x",
    "one line end": "\n",
    "many line ends": "\r\n\n\r\r\n\n\n",
    "a lone CR": "one\rtwo\r",
    "a lone LF": "one\ntwo\n",
    "CR LF CR": "one\r\n\rtwo\n\r\n",
    "no line end, long": words.repeat(40),
    "a line of 74": `${"x".repeat(74)}\nnext`,
    "a line of 75": `${"x".repeat(75)}\nnext`,
    "a line of 76": `${"x".repeat(76)}\nnext`,
    "a line of 77": `${"x".repeat(77)}\nnext`,
    "a last line of 60": `first\n${words.repeat(3).slice(0, 60)}`,
    "a last line of 76": `first\n${words.repeat(3).slice(0, 76)}`,
    "a long word": "x".repeat(3_000),
    "spaces at the ends of lines": "one \ntwo  \n three\t\n \n\t\n",
    "spaces at the end": `${words}${words}   `,
    "spaces only": "   \t ",
    dots: ".\n..\n.x\n...\n.",
    "From lines": "From me\nFrom: you\n>From them\n",
    "a boundary": "--=_0123456789abcdef0123456789ab\n--=_0123456789abcdef0123456789ab--\n",
    "control characters": "a\0b\x01c\x08d\x0be\x0cf\x1bg\x7fh\x85i",
    "line separators": "one\u2028two\u2029three",
    "a byte order mark": "\ufeffone\ufeff",
    "halves of pairs": "a\ud83eb\udd80c\udd80\ud83e",
    "a flag and a family": "🇩🇪 👩‍👩‍👧‍👦 ".repeat(8),
    "mostly not ASCII": "Привет, мир. 今日は。\n".repeat(20),
    "a quarter not ASCII": `é${"x".repeat(6)}`.repeat(30),
    "just less than a quarter": `${`é${"x".repeat(6)}`.repeat(30)}x`,
    "equals signs": '<a href="x?a=1&b==2" class="=3D">=</a>='.repeat(20),
    "an encoded text": "=C3=A4=\r\n=20\r\nnot=\r\n",
    "more than a piece": `${words.repeat(1_500)} end `,
    "more than a piece, not ASCII": `é${words.repeat(1_500)}ü  \n`,
  };
  const both = Object.entries(texts).flatMap(([name, text]) => [
    [`text: ${name}`, { body: text, htmlBody: null }],
    [`html: ${name}`, { body: null, htmlBody: text }],
    [`both: ${name}`, { body: text, htmlBody: `<p>${text}</p>` }],
  ]);
  return { ...Object.fromEntries(both), ...atEveryOffset() };
}

/** A character of each length at every place around a soft break. */
function atEveryOffset(): Changes {
  const lines = ["é", "漢", "🎉"].flatMap((character) =>
    Array.from({ length: 40 }, (_, i) => `${"x".repeat(45 + i)}${character}${"y".repeat(60)}`),
  );
  return { "text: a character at every offset": { body: lines.join("\n") } };
}

function subjects(): Changes {
  const texts: Record<string, string> = {
    empty: "",
    blank: "   ",
    "with spaces around": "  two  spaces  ",
    "of 67 characters": "s".repeat(67),
    "of 68 characters": "word ".repeat(14).slice(0, 67),
    "of 998 characters": "s".repeat(998),
    "of 998 characters in words": "words ".repeat(167).slice(0, 998),
    "with wide gaps": `a${" ".repeat(200)}b${" ".repeat(100)}c`,
    "with an encoded-word": "=?utf-8?Q?not_me?=",
    "with half an encoded-word": "a =? b ?= c",
    "with umlauts": "Grüße aus Köln, über den Fluß",
    "in Japanese": "今日は世界 ".repeat(30),
    "with half a pair": "a\ud83eb",
    "with control characters": "a\0b\tc\x7fd\u0085e\u2028f",
    "with quotes": `say "hello" \\ 'there'`,
  };
  return Object.fromEntries(
    Object.entries(texts).map(([name, subject]) => [`subject: ${name}`, { subject }]),
  );
}

function mailboxes(): Changes {
  const names = [
    "Ada Lovelace",
    "under_score 9",
    "A. Dot",
    'The "desk"',
    "Comma, Inc.",
    "back\\slash",
  ];
  names.push(
    "Åsa Öberg",
    "三",
    "🎉 Party",
    "=?utf-8?Q?x?=",
    "<a@b.c>",
    "  ",
    "tab\there",
    "x".repeat(256),
  );
  names.push(
    "ü".repeat(120),
    "a@b.example, c@d.example",
    "(comment) x",
    "a; b: c",
    "'quoted'",
    "a\ud83e",
  );
  const addresses = ["a@localhost", "o'brien+tag@example.org", "A.B@example.org", "a@EXAMPLE.org"];
  addresses.push(
    "a@xn--bcher-kva.example",
    "a@sub.xn--p1ai",
    "a@192.0.2.1",
    "a@[192.0.2.1]",
    "a@1e3",
  );
  addresses.push(
    `${"l".repeat(64)}@example.org`,
    `a@${"d".repeat(63)}.example`,
    '"a b"@example.org',
  );
  addresses.push(
    "a@b@example.org",
    "a b@example.org",
    "a..b@example.org",
    "a@ab--cd.example",
    "nobody",
  );
  addresses.push(
    "<a@example.org>",
    "<>",
    "a@-x-.example",
    "a,b@example.org",
    "a@ex_ample.org",
    "a@b.",
  );
  return {
    ...Object.fromEntries(
      names.map((name) => [`name: ${name}`, everywhere({ address: "a@b.example", name })]),
    ),
    ...Object.fromEntries(
      addresses.map((address) => [`address: ${address}`, everywhere({ address, name: null })]),
    ),
    "many recipients": { to: people(60, null), cc: people(30, "Some Body") },
    "many recipients with names in Japanese": { to: people(20, "受信者") },
    "Bcc only": { to: [], bcc: people(3, null) },
    "Cc only": { to: [], cc: people(2, "Copy, Carbon") },
  };
}

function everywhere(mailbox: Address): Partial<EmailDraft> {
  const plain = { address: "plain@example.org", name: null };
  return { from: mailbox, replyTo: mailbox, to: [plain, mailbox], cc: [mailbox, plain] };
}

function people(count: number, name: string | null): Address[] {
  return Array.from({ length: count }, (_, i) => ({ address: `person${i}@example.org`, name }));
}

function headers(): Changes {
  const ids = Array.from({ length: 12 }, (_, i) => `<message-${i}@mail.example.com>`).join(" ");
  return {
    "headers: of every kind": {
      headers: {
        "x-campaign": "summer – 夏",
        "LIST-ID": "<list.example.com>",
        "List-Unsubscribe": "<https://example.com/u?id=1>, <mailto:u@example.com>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "Auto-Submitted": "auto-generated",
        "x-spf": "1",
        "X-MD5": "2",
        "X-SMTPAPI": '{"a": 1}',
        "dkim-x": "3",
        "MIME-x": "4",
        "otp-token": "5",
        "x-a--b": "6",
        "-x": "7",
      },
    },
    "headers: ids": { headers: { References: ids, "In-Reply-To": "<a@example.com>" } },
    "headers: ids without brackets": { headers: { references: "a@example.com  <b c@d>" } },
    "headers: no ids": { headers: { references: "" } },
    "headers: long words": { headers: { "X-Long": "w".repeat(998) } },
    "headers: long, in words": { headers: { "X-Long": words.repeat(20) } },
    "headers: blank": { headers: { "X-Blank": "  ", "X-Empty": "" } },
    "headers: with umlauts and an encoded-word": { headers: { "X-A": "ü =?utf-8?Q?x?= ü" } },
    "headers: of a long name": { headers: { [`X-${"n".repeat(74)}`]: words.repeat(3) } },
  };
}

/** Those that are no header of their own in what is composed, and those that are refused. */
function injections(): Changes {
  const ends = { CRLF: "\r\n", LF: "\n", CR: "\r", "line separator": "\u2028", NEL: "\u0085" };
  const changes = Object.entries(ends).map(([name, end]) => {
    const injected = `x${end}Bcc: evil@example.net${end}${end}body`;
    const mailbox = { address: "a@b.example", name: injected };
    return [
      `injection by ${name}`,
      {
        ...everywhere(mailbox),
        subject: injected,
        headers: { "X-A": injected, References: injected },
      },
    ];
  });
  return {
    ...Object.fromEntries(changes),
    "injection by an address": { to: [{ address: "a@b.example\r\nBcc: e@e.net", name: null }] },
    "an address that is not ASCII": { cc: [{ address: "ünï@example.org", name: null }] },
    "an empty address": { from: { address: "", name: "x" } },
    "a header named Bcc": { headers: { bcc: "evil@example.net" } },
    "a header named by us": { headers: { "Content-Type": "text/html" } },
    "a header with a line end in its name": { headers: { "X-A: b\r\nBcc": "e@e.net" } },
    "a name too long for a line": everywhere({ address: "a@b.example", name: "x".repeat(1_000) }),
    "an address too long for a line": everywhere({ address: `${"x".repeat(999)}@b`, name: null }),
    "a header without a name": { headers: { "": "x" } },
  };
}
