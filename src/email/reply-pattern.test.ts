import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { replyPattern } from "./reply-pattern.ts";

describe("replies of one wording are alike, as they come from", () => {
  test.each([
    [
      "the sink",
      "<a123@x.test> user unknown id=7f3a",
      "<b9@x.test> User unknown  id=99",
      "<address> user unknown id=<value>",
    ],
    [
      "Gmail",
      "The email account that you tried to reach does not exist. Please try double-checking the recipient's email address for typos or unnecessary spaces. For more information, go to https://support.google.com/mail/?p=NoSuchUser a640c23a62f3a-ae3f4b1c2si123456266b.123 - gsmtp",
      "The email account that you tried to reach does not exist. Please try double-checking the recipient's email address for typos or unnecessary spaces. For more information, go to https://support.google.com/mail/?p=NoSuchUser d9443c01a7336-23e3ed1si98765ad.7 - gsmtp",
      "the email account that you tried to reach does not exist. please try double-checking the recipient's email address for typos or unnecessary spaces. for more information, go to <url> <id> - gsmtp",
    ],
    [
      "Outlook",
      "Recipient address rejected: Access denied. [AM7EUR03FT035.eop-EUR03.prod.protection.outlook.com 2026-01-02T03:04:05.678Z 08DD2A0B1C2D3E4F]",
      "Recipient address rejected: Access denied. [BN8NAM11FT049.eop-nam11.prod.protection.outlook.com 2026-11-22T13:14:15.001Z 08DE11FFAA2D3E40]",
      "recipient address rejected: access denied. [<host> <time> <id>]",
    ],
    [
      "Postfix",
      "<bob@example.com>: Recipient address rejected: User unknown in virtual mailbox table",
      "<Ann+x@example.com>: Recipient address rejected: User unknown in virtual mailbox table",
      "<address>: recipient address rejected: user unknown in virtual mailbox table",
    ],
    [
      "Exim behind a blocklist",
      "Service unavailable; client [192.0.2.7] blocked using zen.spamhaus.org",
      "Service unavailable; client [198.51.100.23] blocked using zen.spamhaus.org",
      "service unavailable; client <ip> blocked using <host>",
    ],
    [
      "a server that quotes the mailbox",
      "mailbox 'bob' is full (1024 of 1000 kB)",
      "mailbox 'eve7' is full (2048 of 1000 kB)",
      "mailbox <quoted> is full (<n> of <n> kb)",
    ],
    [
      "a server on IPv6",
      "refused for 2001:db8::17:9",
      "refused for [IPv6:2001:db8:0:0:1::8]",
      "refused for <ip>",
    ],
  ])("%s", (_, one, other, pattern) => {
    expect(replyPattern(one)).toBe(pattern);
    expect(replyPattern(other)).toBe(pattern);
  });
});

test("what tells one fault from another stays: words, enhanced codes, a provider's own code", () => {
  expect(replyPattern("5.7.1 [TSS04] Messages from 192.0.2.1 deferred")).toBe(
    "5.7.1 [tss04] messages from <ip> deferred",
  );
  expect(replyPattern("5.7.1 blocked (S3150)")).not.toBe(replyPattern("5.7.1 blocked (S3140)"));
  expect(replyPattern("5.2.2 mailbox full")).not.toBe(replyPattern("5.2.1 mailbox full"));
});

test("the apostrophe of a word is no quote", () => {
  expect(replyPattern("The recipient's mailbox can't be found")).toBe(
    "the recipient's mailbox can't be found",
  );
});

const word = fc.stringMatching(/^[a-z]{1,9}$/);
const name = fc.stringMatching(/^[a-z][a-z0-9]{0,9}$/);
const part = fc.oneof(
  word,
  fc.string({ unit: "binary", maxLength: 12 }),
  fc.tuple(name, name, word).map(([user, host, tld]) => `<${user}@${host}.${tld}>`),
  fc.tuple(word, name).map(([key, value]) => `${key}=${value}`),
  fc.ipV4(),
  fc.ipV6(),
  fc.webUrl(),
  fc.uuid(),
  fc.domain(),
  fc.nat().map(String),
  fc.constantFrom("5.1.1", "[TSS04]", "'x'", '"q1"', "2026-01-02T03:04:05Z", "<", ">", "[", "]"),
);
const reply = fc.array(part, { maxLength: 12 }).map((parts) => parts.join(" ").slice(0, 500));

test.each(["http://a.aa/'a'0", "'a'abcdefg1"])("%s is replaced as far as it will be", (text) => {
  const pattern = replyPattern(text);
  expect(pattern).toContain("<quoted>");
  expect(replyPattern(pattern)).toBe(pattern);
});

test("a pattern is its own pattern, whatever the reply was", () => {
  fc.assert(
    fc.property(reply, (text) => {
      const pattern = replyPattern(text);
      expect(replyPattern(pattern)).toBe(pattern);
    }),
    { numRuns: 2_000 },
  );
});

test("no address is ever left in a pattern, so that it may be shown beside a group", () => {
  fc.assert(
    fc.property(
      fc.array(word),
      name,
      name,
      word,
      fc.array(word),
      (before, user, host, tld, after) => {
        const address = `${user}@${host}.${tld}`;
        const pattern = replyPattern([...before, `<${address}>`, ...after].join(" "));
        expect(pattern).toContain("<address>");
        expect(pattern).not.toContain("@");
      },
    ),
  );
});

test("whoever is refused, and whatever the id, the pattern is one", () => {
  const pattern = replyPattern("<a@x.test> user unknown id=1");
  fc.assert(
    fc.property(name, name, fc.uuid(), (user, host, id) => {
      expect(replyPattern(`<${user}@${host}.test> user  unknown id=${id}`)).toBe(pattern);
    }),
  );
});
