import { expect, test } from "bun:test";
import type { SendReport } from "../email/smtp.ts";
import { createLogger } from "../log.ts";
import { classify } from "../mail/classify.ts";
import { recipients } from "../testing/fixtures/smtp-fixtures.ts";
import { logRefusal } from "./log-refusal.ts";

const envelope = { from: "s@example.com", recipients: recipients(2) };
const ok = { code: 250, enhanced: null, text: "ok" };
const full = { code: 452, enhanced: "4.2.2", text: "<r1@example.com>: mailbox full" };

function linesOf(changes: Partial<SendReport>): Record<string, unknown>[] {
  const lines: Record<string, unknown>[] = [];
  const stream = { write: (line: string) => void lines.push(JSON.parse(line)) };
  const log = createLogger({ level: "info", stream, isForPeople: false });
  const report: SendReport = {
    phase: "reply",
    fenced: true,
    messageDate: null,
    reply: ok,
    recipients: recipients(2).map(({ position }) => ({ position, reply: ok })),
    error: null,
    withheld: null,
    transport: "smtp.example.com:25",
    ...changes,
  };
  logRefusal(log, { id: "e1", attempt: 2 }, { envelope, report }, classify(report, envelope));
  return lines;
}

test("a message that everybody got has no line", () => {
  expect(linesOf({})).toEqual([]);
});

test("the line of one that was refused carries codes, phase and domain, and no address", () => {
  const rcpt = [
    { position: 0, reply: ok },
    { position: 1, reply: full },
  ];
  const said = { attempt: 2, smtp_code: 452, enhanced_code: "4.2.2", domain: "example.org" };
  const [partial] = linesOf({ recipients: rcpt });
  expect(partial).toMatchObject({ email_id: "e1", outcome: "partial", phase: "rcpt", ...said });
  const [deferred] = linesOf({ reply: full });
  expect(deferred).toMatchObject({ outcome: "deferred", phase: "reply", ...said });
  const [returned] = linesOf({ phase: "mail", reply: { ...full, code: 553, enhanced: "5.1.8" } });
  expect(returned).toMatchObject({ outcome: "release", phase: "mail", smtp_code: 553 });
  const [lost] = linesOf({ reply: null, error: "connection reset by the server" });
  expect(lost).toMatchObject({ outcome: "uncertain", reason: "connection reset by the server" });
  for (const line of [partial, deferred, returned, lost]) {
    expect(JSON.stringify(line)).not.toContain("@");
  }
});
