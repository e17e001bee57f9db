import { expect, test } from "bun:test";
import type { SmtpPhase } from "../email/smtp.ts";
import { quotedReply } from "./quoted-reply.ts";
import { parseReply } from "./smtp-reply.ts";

function quoted(raw: string, phase: SmtpPhase = "rcpt"): string {
  const reply = parseReply(raw);
  if (!reply) throw new Error(`not a reply: ${raw}`);
  return quotedReply(reply, phase);
}

test("a reply is quoted with its codes, the command it answered, and its words", () => {
  expect(quoted("452 4.3.1 Insufficient system storage", "mail")).toBe(
    "452 4.3.1 at MAIL: Insufficient system storage",
  );
  expect(quoted("421", "greeting")).toBe("421 at the greeting");
  expect(quoted("451 4.3.0 Later", "reply")).toBe("451 4.3.0 at the message: Later");
});

test("no mailbox and no IP address is left in it", () => {
  const table = [
    "451 4.3.0 <bob@example.com>: Temporary lookup failure",
    "550 5.1.1 <bob smith>: no such user",
    '550 5.1.1 "bob smith"@example.com is unknown',
    "550 5.1.1 bob.smith@example.com is unknown",
    "554 5.7.1 <client[192.0.2.9]>: Client host rejected",
    "450 4.7.1 Error: too much mail from 192.0.2.9",
    "421 4.7.0 2001:db8::25:9 sends too much",
    "550 5.7.1 see https://example.net/block?a=bob@example.com&ip=192.0.2.9",
  ];
  for (const raw of table) expect(quoted(raw)).not.toMatch(/bob|smith|192\.0\.2|2001|db8/);
});

test("a long reply is cut", () => {
  expect(quoted(`451 4.3.0 ${"many words ".repeat(60)}`).length).toBeLessThan(240);
});
