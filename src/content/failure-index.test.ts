import { expect, test } from "bun:test";
import { createKeyRing } from "../crypto/create-key-ring.ts";
import type { DecryptedEmail } from "./decrypt-email.ts";
import { attemptFailure, failureIndex, storedFailure } from "./failure-index.ts";

const keyRing = createKeyRing({ current: "ab".repeat(32), old: [] });
const refusal = (user: string, domain: string) => ({
  domain,
  smtpCode: 550,
  enhancedCode: "5.1.1",
  reply: `<${user}@${domain}> user unknown id=${Bun.randomUUIDv7()}`,
});

test("a thousand users unknown at two domains are two groups", () => {
  const indexes = Array.from({ length: 1000 }, (_, n) =>
    failureIndex(keyRing, refusal(`a${n}`, n % 2 === 0 ? "x.test" : "y.test")),
  );
  expect(new Set(indexes.map(({ group }) => group)).size).toBe(2);
  expect(new Set(indexes.map(({ domain }) => domain)).size).toBe(2);
});

test("another code, another enhanced code and other words are other groups", () => {
  const said = refusal("a", "x.test");
  const others = [
    said,
    { ...said, smtpCode: 551 },
    { ...said, enhancedCode: "5.7.1" },
    { ...said, reply: "relaying denied" },
    { ...said, reply: null },
  ];
  expect(new Set(others.map((one) => failureIndex(keyRing, one).group)).size).toBe(5);
});

test("neither words nor domain can be read from an index, and another key gives another one", () => {
  const said = refusal("a", "x.test");
  const index = failureIndex(keyRing, said);
  expect(index.group).toMatch(/^[0-9a-f]{24}$/);
  expect(index.domain).toMatch(/^[0-9a-f]{64}$/);
  const other = createKeyRing({ current: "cd".repeat(32), old: [] });
  expect(failureIndex(other, said)).not.toEqual(index);
});

const { dataKey } = keyRing.createDataKey("e1", "ada");
const recipients = ["a@One.test", "b@two.test\nBob"].map((mailbox, position) => ({
  position,
  address: dataKey.encryptText(mailbox, `address:${position}`),
}));
const reply = { code: 550, enhanced: "5.1.1", text: "no such user" };

test("who bounced tells more than who was deferred, and who was sent tells nothing", () => {
  const ended = { outcome: "partial" as const, reply: null, error: null };
  const sent = { position: 0, status: "sent" as const, reply };
  const deferred = { position: 0, status: "deferred" as const, reply: { ...reply, code: 450 } };
  const bounced = { position: 1, status: "bounced" as const, reply };
  const of = (verdicts: Parameters<typeof attemptFailure>[2]["recipients"]) =>
    attemptFailure({ recipients }, dataKey, { ...ended, recipients: verdicts });
  expect(of([deferred, bounced])).toMatchObject({ domain: "two.test", smtpCode: 550 });
  expect(of([deferred])).toMatchObject({ domain: "one.test", smtpCode: 450 });
  expect(of([sent])).toBeNull();
});

test("an uncertain attempt fails of what went wrong, at the first recipient's domain", () => {
  const ended = { outcome: "uncertain" as const, recipients: [], reply: null, error: "cut off" };
  expect(attemptFailure({ recipients }, dataKey, ended)).toEqual({
    domain: "one.test",
    smtpCode: null,
    enhancedCode: null,
    reply: "cut off",
  });
});

test("an address that does not open still has a group", () => {
  const broken = [{ position: 0, address: "v1.broken" }];
  const ended = { outcome: "uncertain" as const, recipients: [], reply: null, error: "cut off" };
  expect(attemptFailure({ recipients: broken }, dataKey, ended)).toMatchObject({ domain: null });
});

test("what is shown of a group is the recipient that made it, not one of an earlier attempt", () => {
  const shown = (address: string, status: "bounced" | "deferred", words: string) => ({
    ...{ position: 0, kind: "to" as const, address, status, reply: words },
    ...{ smtpCode: 550, enhancedCode: "5.1.1" },
  });
  const email: DecryptedEmail = {
    subject: "s",
    attempts: [],
    recipients: [
      shown("a@one.test", "bounced", "no such user"),
      shown("b@two.test", "deferred", "mailbox full"),
    ],
  };
  const group = failureIndex(keyRing, {
    domain: "two.test",
    smtpCode: 550,
    enhancedCode: "5.1.1",
    reply: "Mailbox  full",
  }).group;
  expect(storedFailure(keyRing, email, group)).toMatchObject({ domain: "two.test" });
  expect(storedFailure(keyRing, email, "code-550")).toMatchObject({
    domain: null,
    reply: "no such user",
  });
});
