import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { showMailbox } from "./mailbox.ts";
import { parseAddress } from "./parse-address.ts";

const safeAddress =
  /^[\w!#$%&'*+/=?^`{|}~.-]{1,64}@(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;

describe("accepted", () => {
  test.each([
    ["ada@example.com", "ada@example.com", null],
    [" ada@example.com ", "ada@example.com", null],
    ["Ada Lovelace <ada@example.com>", "ada@example.com", "Ada Lovelace"],
    ["<ada@example.com>", "ada@example.com", null],
    ['"Lovelace, Ada (\\"A\\") <3" <ada@example.com>', "ada@example.com", 'Lovelace, Ada ("A") <3'],
    ["Dr. Ünal <u@example.com>", "u@example.com", "Dr. Ünal"],
    ["a@localhost", "a@localhost", null],
    ["o'neil+tag/x=y@Sub.EXAMPLE.com", "o'neil+tag/x=y@sub.example.com", null],
    ["a@bücher.example", "a@xn--bcher-kva.example", null],
    ["a@BÜCHER.example", "a@xn--bcher-kva.example", null],
    ["a@xn--bcher-kva.example", "a@xn--bcher-kva.example", null],
    ["a@faß.de", "a@xn--fa-hia.de", null],
    ["a@1.example", "a@1.example", null],
    [`${"a".repeat(64)}@example.com`, `${"a".repeat(64)}@example.com`, null],
  ])("%j", (input, address, name) => {
    expect(parseAddress(input)).toEqual({ value: { address, name } });
  });

  test("an object, its name null, absent or empty", () => {
    const value = { address: "a@b.example", name: null };
    expect(parseAddress({ address: "a@b.example" })).toEqual({ value });
    expect(parseAddress({ address: "a@b.example", name: null })).toEqual({ value });
    expect(parseAddress({ address: "a@b.example", name: " " })).toEqual({ value });
    expect(parseAddress({ address: "a@b.example", name: 'a "b" <c>' })).toEqual({
      value: { address: "a@b.example", name: 'a "b" <c>' },
    });
  });
});

describe("refused", () => {
  test.each([
    // Quoted local parts that move the domain (CVE-2025-13033) and their relatives.
    '"xclow3n@gmail.com x"@internal.example',
    '"a@evil.example"@example.com',
    '"a\\"@evil.example>"@example.com',
    '"quoted"@example.com',
    'Name <"x@evil.example, y"@example.com>',
    // Comments, nested too (CVE-2026-121424), and groups (CVE-2026-121425).
    "a(comment)@example.com",
    "(c)a@example.com",
    "a@(c)example.com",
    "a@example.com(c)",
    "a@example.com (Ada)",
    "((a@evil.example)) <b@example.com>",
    "Group: a@example.com, b@example.com;",
    "Group:;",
    "G: N <a@example.com>;",
    // Lists, several @, brackets.
    "a@example.com, b@evil.example",
    "a@example.com; b@evil.example",
    "a@example.com b@evil.example",
    "a@evil.example@example.com",
    "a@@example.com",
    "<a@example.com",
    "a@example.com>",
    "N <a@example.com> <b@evil.example>",
    "N <a@example.com>, b@evil.example",
    "a@example.com <b@evil.example>",
    "N <<a@example.com>>",
    "N <a@example.com> x",
    "N < a@example.com>",
    "<@relay.example:a@example.com>",
    'bad"quote <a@example.com>',
    '"open <a@example.com>',
    '"a\\" <a@example.com>',
    // Control characters and other hidden ones.
    "a@example.com\r\nRCPT TO:<b@evil.example>",
    "a\r\n@example.com",
    "a@example.com\n",
    "a@exam\tple.com",
    "a\0@example.com",
    "Na\r\nme <a@example.com>",
    "Na\u0000me <a@example.com>",
    "Na\u2028me <a@example.com>",
    "\u202egnp.exe <a@example.com>",
    "a\u200b@example.com",
    "a@exam\u200bple.com",
    "a@exam\u00adple.com",
    "a@\u202eexample.com",
    "\ud800 <a@example.com>",
    // Encoded-words hide from us what they show to people (CR LF and a turned name here).
    "=?utf-8?b?DQpCY2M6IGV2aWxAZXZpbC5leGFtcGxl?= <a@example.com>",
    '"=?UTF-8?Q?=E2=80=AEgnp.exe?=" <a@example.com>',
    "A =?x?q?b?= <a@example.com>",
    "a@ex\udc00ample.com",
    // Local parts.
    "@example.com",
    "example.com",
    "",
    " ",
    ".a@example.com",
    "a.@example.com",
    "a..b@example.com",
    "a b@example.com",
    "a\\b@example.com",
    "a,b@example.com",
    "ü@example.com",
    "ü@bücher.example",
    `${"a".repeat(65)}@example.com`,
    // Domains: literals, whatever a URL parser would repair, and IDN tricks (CVE-2026-92598).
    "a@",
    "a@.",
    "a@example.com.",
    "a@.example.com",
    "a@example..com",
    "a@-example.com",
    "a@example-.com",
    "a@exa_mple.com",
    "a@[127.0.0.1]",
    "a@[IPv6:::1]",
    "a@127.0.0.1",
    "a@127.1",
    "a@0x7f.1",
    "a@0x7f000001",
    "a@2130706433",
    "a@example.1",
    "a@１２７.0.0.1",
    "a@example%2ecom",
    "a@exa%6dple.com",
    "a@example.com:25",
    "a@example.com/evil.example",
    "a@example.com?x",
    "a@example.com#x",
    "a@evil.example\\@example.com",
    "a@example。com",
    "a@example．com",
    "a@example｡com",
    "a@ex＠ample.com",
    "a＠example.com",
    "a@ⓔxample.com",
    "a@ｅxample.com",
    "a@℀.com",
    "a@xn--a.com",
    "a@xn--.com",
    `a@${"b".repeat(64)}.com`,
    `a@${"b.".repeat(126)}com`,
    `${"a".repeat(64)}@${"b".repeat(63)}.${"c".repeat(63)}.${"d".repeat(62)}`,
    `${"n".repeat(257)} <a@example.com>`,
  ])("%j", (input) => {
    expect(parseAddress(input)).toEqual({ fault: expect.stringMatching(/^expected .*, got /) });
  });

  test.each([
    [null],
    [7],
    [["a@example.com"]],
    [{}],
    [{ address: 7 }],
    [{ address: "a@example.com", name: 7 }],
    [{ address: "N <a@example.com>" }],
    [{ address: "a@example.com>\r\nx", name: "N" }],
    [{ address: "a@example.com", name: "=?utf-8?q?=0d=0a?=" }],
    [{ address: "a@example.com", name: "N\r\nBcc: b@evil.example" }],
    [{ address: "a@example.com, b@evil.example" }],
    [{ address: ["a@example.com"] }],
  ])("%j", (input) => {
    expect(parseAddress(input)).toEqual({ fault: expect.stringMatching(/^expected .*got /) });
  });

  test("the fault shows what came on one line, cut, and with control characters escaped", () => {
    expect(parseAddress(`a\r\n\u202e${"x".repeat(900)} <a@b.example>`)).toEqual({
      fault: expect.stringMatching(/got "a\\r\\n\\u202ex+…" \(904 characters\)$/),
    });
  });
});

const hostile = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string({
    unit: fc.constantFrom(...'aB1@.<>"\\(),;: -_[]%\r\n\0ü＠。\u200bߘ'),
    maxLength: 24,
  }),
  fc.emailAddress(),
  fc.tuple(fc.string(), fc.emailAddress()).map(([name, address]) => `${name} <${address}>`),
);

test("whatever comes: a fault, or an address that is safe on an SMTP line", () => {
  fc.assert(
    fc.property(fc.oneof(hostile, fc.record({ address: hostile, name: hostile })), (input) => {
      const parsed = parseAddress(input);
      if ("fault" in parsed) return;
      expect(parsed.value.address).toMatch(safeAddress);
      expect(parsed.value.name ?? "").not.toMatch(/[\p{Cc}\p{Cs}]/u);
    }),
    { numRuns: 3000 },
  );
});

test("what was accepted, written as people write it, is accepted as the same", () => {
  fc.assert(
    fc.property(fc.record({ address: fc.emailAddress(), name: hostile }), (input) => {
      const parsed = parseAddress(input);
      if ("fault" in parsed) return;
      expect(parseAddress(showMailbox(parsed.value))).toEqual(parsed);
    }),
    { numRuns: 3000 },
  );
});
