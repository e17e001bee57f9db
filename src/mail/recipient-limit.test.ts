import { describe, expect, test } from "bun:test";
import type { Envelope, SendReport, SmtpReply } from "../email/smtp.ts";
import { recipients } from "../testing/smtp-fixtures.ts";
import { classify, type Verdict } from "./classify.ts";
import { createRecipientLimit } from "./recipient-limit.ts";

const envelope: Envelope = { from: "s@example.com", recipients: recipients(2) };
const rcpt = (...replies: SmtpReply[]) => replies.map((r, position) => ({ position, reply: r }));

function reply(code: number, enhanced: string | null = null): SmtpReply {
  return { code, enhanced, text: "words" };
}

function report(changes: Partial<SendReport>): SendReport {
  return {
    phase: "reply",
    fenced: false,
    messageDate: null,
    reply: null,
    recipients: [],
    error: null,
    withheld: null,
    transport: "smtp.example.com:587",
    ...changes,
  };
}

function statuses(verdict: Verdict): string[] {
  return verdict.kind === "settle" ? verdict.recipients.map(({ status }) => status) : [];
}

describe("too many recipients for one transaction", () => {
  const limits: [number, string | null, string][] = [
    [452, "4.5.3", "Too many recipients"],
    [452, "5.5.3", "Too many recipients"],
    [451, "4.5.3", "Error: too many recipients"],
    [552, null, "Too many recipients"],
    [452, null, "Too many"],
    [450, null, "Too many recipients"],
    [550, "5.5.3", "Too many recipients"],
    [554, "5.5.3", "Too many recipients"],
  ];
  test.each(limits)("%d %p %s: the rest is due at once, at no cost", (code, enhanced, text) => {
    const said = { code, enhanced, text };
    const facts = report({ fenced: true, reply: reply(250), recipients: rcpt(reply(250), said) });
    const verdict = classify(facts, envelope);
    expect(verdict).toMatchObject({ outcome: "partial", isCounted: false });
    expect(statuses(verdict)).toEqual(["sent", "deferred"]);
  });

  test("costs an attempt when nobody was done with", () => {
    const said = reply(452, "4.5.3");
    const nobody = report({ phase: "rcpt", reply: said, recipients: rcpt(said, said) });
    const deferred = report({ reply: reply(451), recipients: rcpt(reply(250), said) });
    for (const facts of [nobody, deferred]) {
      const verdict = classify(facts, envelope);
      expect(verdict).toMatchObject({ outcome: "deferred", isCounted: true });
      expect(statuses(verdict)).toEqual(["deferred", "deferred"]);
    }
  });

  test("is not said by a full mailbox, or by a policy", () => {
    for (const said of [reply(452, "4.2.2"), reply(452, "4.3.1"), reply(450, "4.7.1")]) {
      const facts = report({ reply: reply(250), recipients: rcpt(reply(250), said) });
      expect(classify(facts, envelope)).toMatchObject({ isCounted: true });
    }
  });
});

describe("the limit that was met", () => {
  const many: Envelope = { from: "s@example.com", recipients: recipients(5) };
  const full = report({ reply: reply(250), recipients: rcpt(reply(250), reply(250), reply(452)) });

  test("is heeded for an hour", () => {
    let now = 0;
    const limit = createRecipientLimit(() => now);
    expect(limit.split(many)).toEqual({ envelope: many, left: [] });
    limit.note(full);
    now = 3_599_999;
    expect(limit.split(many)).toEqual({
      envelope: { ...many, recipients: many.recipients.slice(0, 2) },
      left: [2, 3, 4],
    });
    now += 1;
    expect(limit.countMax).toBeNull();
  });

  test("is not learned from recipients who were refused for themselves", () => {
    const limit = createRecipientLimit();
    limit.note(report({ reply: reply(250), recipients: rcpt(reply(250), reply(452, "4.2.2")) }));
    limit.note(report({ phase: "rcpt", reply: reply(452), recipients: rcpt(reply(452)) }));
    expect(limit.countMax).toBeNull();
  });
});
