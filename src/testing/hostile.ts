import fc from "fast-check";

const unseen = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{Cf}]/u;

/** Words that have opened doors in other mail programs, and others that only look so. */
const tricks = [
  "a\r\nBcc: evil@evil.example",
  "a\nBcc: evil@evil.example",
  "a\rBcc: evil@evil.example",
  "a\r\n\r\n<script>",
  "a\r\n.\r\nMAIL FROM:<evil@evil.example>",
  "a%0d%0aBcc:%20evil@evil.example",
  "a\\r\\nBcc: evil@evil.example",
  "=?utf-8?q?=0d=0aBcc:_evil=40evil.example?=",
  "=?utf-8?b?DQpCY2M6IGV2aWxAZXZpbC5leGFtcGxl?=",
  "=?utf-8?q?a?= =?utf-8?q?b?=",
  "=?x-unknown?q?a?=",
  "a\u0000b",
  "a\u000bb\u000cc",
  "a\u0085b",
  "a\u2028Bcc: b",
  "a\u2029b",
  "\ud800",
  "a\udc00b",
  "\u202egnp.exe",
  "\u200b\u200d\ufeff",
  "evil@evil.example, b",
  "<evil@evil.example>",
  'a" <evil@evil.example>, "b',
  "Group: evil@evil.example;",
  "(comment) a",
  "a\\",
  "a; b=c",
  "../../etc/passwd",
  "file:///etc/passwd",
  "https://evil.example/x",
  "__proto__",
  "constructor",
  "{{7*7}}",
  "'; drop table mailer.emails; --",
  "null",
  "Grüße, 今日は 🎉",
  "𝕬 ".repeat(40),
  "ä".repeat(300),
  "x".repeat(1_200),
  `${"word ".repeat(150)}end`,
  " ",
  "",
];

export const hostileText: fc.Arbitrary<string> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...tricks) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 40 }) },
  { weight: 1, arbitrary: fc.string({ unit: "grapheme", maxLength: 60 }) },
  { weight: 2, arbitrary: fc.string({ maxLength: 30 }) },
);

/** Odd, and yet what a caller may well mean: nothing unseen, nothing endless. */
const oddText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    ...tricks.filter((text) => text.trim() !== "" && text.length < 250 && !unseen.test(text)),
  ),
  fc.string({ minLength: 1, maxLength: 40 }).filter((text) => text.trim() !== ""),
);
/** Mostly odd, now and then hostile: so that an email of ten fields has a chance. */
const mostlyOdd = fc.oneof(
  { weight: 15, arbitrary: oddText },
  { weight: 1, arbitrary: hostileText },
);

/** Any JSON there is, with the names in it that mean something to JavaScript. */
export const hostileJson: fc.Arbitrary<unknown> = fc.oneof(
  hostileText,
  fc.jsonValue({ maxDepth: 4 }),
  fc.constantFrom<unknown>(0, -1, 1e308, -0, 2 ** 53, true, null, [], {}, [[[[[[]]]]]]),
  fc.dictionary(
    fc.oneof(
      fc.constantFrom("__proto__", "constructor", "toString", "length", "then"),
      hostileText,
    ),
    fc.oneof(hostileText, fc.constant({ isAdmin: true }), fc.constant(null)),
    { maxKeys: 3 },
  ),
);

const plainAddress = fc
  .tuple(
    fc.integer({ min: 0, max: 1e9 }),
    fc.constantFrom("example.com", "Example.ORG", "bücher.example"),
  )
  .map(([n, domain]) => `user-${n}@${domain}`);
/** Addresses in every form we take, and now and then in one that we do not. */
export const anyAddress: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 12, arbitrary: plainAddress },
  {
    weight: 2,
    arbitrary: fc.record({ address: plainAddress, name: fc.oneof(mostlyOdd, fc.constant(null)) }),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(mostlyOdd, plainAddress).map(([name, at]) => `${name} <${at}>`),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.string({ maxLength: 20 }), plainAddress)
      .map(([name, at]) => `"${name.replace(/["\\]/g, "\\$&")}" <${at}>`),
  },
  { weight: 1, arbitrary: fc.oneof(hostileJson, fc.emailAddress()) },
);

function rarely<T, U>(one: fc.Arbitrary<T>, other: fc.Arbitrary<U>): fc.Arbitrary<T | U> {
  return fc.oneof({ weight: 1, arbitrary: one }, { weight: 14, arbitrary: other });
}

const anyAttachment = fc.record(
  {
    filename: mostlyOdd,
    content: rarely(
      mostlyOdd,
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString("base64")),
    ),
    contentType: rarely(mostlyOdd, fc.constantFrom("text/plain", "image/png")),
    content_id: rarely(mostlyOdd, fc.constant("part-1")),
  },
  { requiredKeys: ["filename", "content"] },
);

const headerName = rarely(
  fc.oneof(
    mostlyOdd,
    fc.constantFrom("Bcc", "To", "Content-Type", "X-A: b\r\nBcc", "X-", "X-ä", "__proto__", "Date"),
  ),
  fc.constantFrom(...["X-Note", "x-tag", "List-Id", "References", "In-Reply-To", "Precedence"]),
);

/** Fields of an email, each often sound, often hostile, sometimes of another kind altogether. */
export function hostileFields(requiredKeys: string[] = []): fc.Arbitrary<Record<string, unknown>> {
  const soundOr = <T>(sound: fc.Arbitrary<T>) =>
    fc.oneof({ weight: 30, arbitrary: sound }, { weight: 1, arbitrary: hostileJson });
  const list = (part: fc.Arbitrary<unknown>, maxLength: number) =>
    soundOr(fc.array(part, { maxLength }));
  const fields: Record<string, fc.Arbitrary<unknown>> = {
    recipients: soundOr(fc.array(anyAddress, { minLength: 1, maxLength: 3 })),
    cc: list(anyAddress, 2),
    bcc: list(anyAddress, 2),
    from: soundOr(
      fc.record({
        address: fc.constant("news@example.org"),
        name: fc.oneof(mostlyOdd, fc.constant(null)),
      }),
    ),
    reply_to: anyAddress,
    subject: soundOr(mostlyOdd),
    body: soundOr(mostlyOdd),
    html_body: soundOr(mostlyOdd),
    headers: soundOr(fc.dictionary(headerName, mostlyOdd, { maxKeys: 3 })),
    attachments: list(anyAttachment, 2),
    tags: list(mostlyOdd, 3),
    metadata: soundOr(fc.dictionary(mostlyOdd, hostileJson, { maxKeys: 3 })),
  };
  return fc
    .tuple(
      fc.record(fields, { requiredKeys }),
      // Names that nobody knows come rarely: they are always refused.
      fc.oneof(
        { weight: 12, arbitrary: fc.constant({}) },
        { weight: 1, arbitrary: fc.dictionary(mostlyOdd, hostileJson, { maxKeys: 1 }) },
      ),
    )
    .map(([known, unknown]) => ({ ...known, ...unknown }));
}
