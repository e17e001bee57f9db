import { describe, expect, test } from "bun:test";
import type { SendReport, SmtpPhase, SmtpReply } from "../email/smtp.ts";
import { recipients } from "../testing/fixtures/smtp-fixtures.ts";
import { throttledPositions } from "./throttled.ts";

const reply = (code: number, enhanced: string | null = null): SmtpReply => ({
  code,
  enhanced,
  text: "words",
});
const ok = reply(250);

function throttled(phase: SmtpPhase, said: SmtpReply | null, rcpt: SmtpReply[], count = 2) {
  const report: SendReport = {
    phase,
    fenced: phase === "reply",
    messageDate: null,
    reply: said,
    recipients: rcpt.map((r, position) => ({ position, reply: r })),
    error: null,
    withheld: null,
    transport: "smtp.example.com:25",
  };
  return throttledPositions(report, { from: "s@example.com", recipients: recipients(count) });
}

describe("a destination that says to come later", () => {
  test("at MAIL means everybody, at RCPT the recipient it was said of", () => {
    expect(throttled("mail", reply(421, "4.7.0"), [])).toEqual([0, 1]);
    expect(throttled("rcpt", reply(421), [ok, reply(421)], 3)).toEqual([1]);
  });

  test("at DATA and at the dot means those who were not refused before", () => {
    expect(throttled("data", reply(421), [ok, reply(550)])).toEqual([0]);
    expect(throttled("reply", reply(451, "4.3.2"), [ok, ok])).toEqual([0, 1]);
  });

  test("is told by 421, 4.3.2, 4.4.5 and 4.7.28, and by no other deferral", () => {
    const told = [reply(421), reply(451, "4.3.2"), reply(450, "4.4.5"), reply(450, "4.7.28")];
    const others = [reply(451), reply(450, "4.7.1"), reply(452, "4.2.2"), reply(550, "5.3.2")];
    expect(told.map((said) => throttled("reply", said, [ok], 1))).toEqual([[0], [0], [0], [0]]);
    expect(others.map((said) => throttled("reply", said, [ok], 1))).toEqual([[], [], [], []]);
  });

  test("counts at one RCPT also when the message went to others", () => {
    expect(throttled("reply", ok, [ok, reply(450, "4.7.28")])).toEqual([1]);
  });

  test("is not meant by a lost connection", () => {
    expect(throttled("data", null, [ok])).toEqual([]);
  });
});
