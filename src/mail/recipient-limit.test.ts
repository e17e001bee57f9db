import { afterEach, describe, expect, test } from "bun:test";
import type { Envelope, SendReport, SmtpReply } from "../email/smtp.ts";
import { createSmtpBench, recipients, sendRequest } from "../testing/fixtures/smtp-fixtures.ts";
import type { SinkRule } from "../testing/servers/smtp-sink-rules.ts";
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

  test("ends an email that is refused for good with all its recipients, untried ones too", () => {
    const said = reply(552, "5.3.4");
    const verdict = classify(report({ phase: "mail", reply: said, untried: [1] }), envelope);
    expect(verdict).toMatchObject({ outcome: "bounced", isCounted: true });
    expect(statuses(verdict)).toEqual(["bounced", "bounced"]);
  });

  test("bounces nobody when what became of the others is not known", () => {
    const said = reply(550, "5.5.3");
    const unknown = report({ fenced: true, recipients: rcpt(reply(250), said) });
    expect(classify(unknown, envelope)).toMatchObject({
      kind: "uncertain",
      recipients: [{ position: 1, status: "deferred" }],
    });
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
  const silent = { rcptMax: null };
  const full = report({ reply: reply(250), recipients: rcpt(reply(250), reply(250), reply(452)) });

  test("is heeded for an hour", () => {
    let now = 0;
    const limit = createRecipientLimit(() => now);
    expect(limit.cut(many, silent)).toEqual({ envelope: many, untried: [] });
    limit.note(full);
    now = 3_599_999;
    expect(limit.cut(many, silent)).toEqual({
      envelope: { ...many, recipients: many.recipients.slice(0, 2) },
      untried: [2, 3, 4],
    });
    now += 1;
    expect(limit.cut(many, silent).untried).toEqual([]);
  });

  test("is the lowest met within the hour, and the announced one where that is lower", () => {
    const limit = createRecipientLimit();
    limit.note(full);
    limit.note(report({ recipients: rcpt(reply(250), reply(250), reply(250), reply(452)) }));
    expect(limit.cut(many, { rcptMax: 4 }).untried).toEqual([2, 3, 4]);
    expect(limit.cut(many, { rcptMax: 1 }).untried).toEqual([1, 2, 3, 4]);
  });

  test("is not learned from recipients who were refused for themselves", () => {
    const limit = createRecipientLimit();
    limit.note(report({ reply: reply(250), recipients: rcpt(reply(250), reply(452, "4.2.2")) }));
    limit.note(report({ phase: "rcpt", reply: reply(452), recipients: rcpt(reply(452)) }));
    expect(limit.cut(many, silent).untried).toEqual([]);
  });
});

describe("a conversation", () => {
  const { sinkWith, transportTo, close } = createSmtpBench();
  afterEach(close);
  const envelopeOf = (count: number) => ({ from: "s@example.com", recipients: recipients(count) });
  const requestOf = (count: number) => sendRequest({ envelope: envelopeOf(count) });
  const refusing: SinkRule = ({ phase, envelope: { recipients: taken } }) =>
    phase === "rcpt" && taken.length >= 3 ? { do: "reply", text: "452 4.5.3 Too many" } : null;

  test("has as many recipients as RCPTMAX says; the others are due at once, at no cost", async () => {
    const sink = await sinkWith({ extensions: ["PIPELINING", "LIMITS MAILMAX=50 RCPTMAX=4"] });
    const facts = await transportTo(sink).send(requestOf(10));
    expect(sink.acceptances[0]?.envelope.recipients).toHaveLength(4);
    expect(facts.recipients.map(({ position }) => position)).toEqual([0, 1, 2, 3]);
    expect(facts.untried).toEqual([4, 5, 6, 7, 8, 9]);
    const verdict = classify(facts, envelopeOf(10));
    expect(verdict).toMatchObject({ outcome: "partial", isCounted: false });
    expect(statuses(verdict)).toEqual([...Array(4).fill("sent"), ...Array(6).fill("deferred")]);
  });

  test("has as many as the one before, which met the limit", async () => {
    const sink = await sinkWith({ rules: [refusing] });
    const transport = transportTo(sink);
    expect((await transport.send(requestOf(8))).recipients).toHaveLength(8);
    const second = await transport.send(requestOf(8));
    expect(second.recipients.map(({ reply: said }) => said.code)).toEqual([250, 250, 250]);
    expect(second.untried).toEqual([3, 4, 5, 6, 7]);
  });

  test("whose message is refused bounces nobody who was not tried", async () => {
    const sink = await sinkWith({ extensions: ["LIMITS RCPTMAX=1"] });
    sink.setRules(({ phase }) => (phase === "dot" ? { do: "reply", text: "550 5.6.0 no" } : null));
    const verdict = classify(await transportTo(sink).send(requestOf(2)), envelopeOf(2));
    expect(verdict).toMatchObject({ isCounted: false });
    expect(statuses(verdict)).toEqual(["bounced", "deferred"]);
  });

  test("whose message is deferred costs an attempt", async () => {
    const sink = await sinkWith({ extensions: ["LIMITS RCPTMAX=1"] });
    sink.setRules(({ phase }) => (phase === "dot" ? { do: "reply", text: "451 4.2.0 no" } : null));
    const verdict = classify(await transportTo(sink).send(requestOf(2)), envelopeOf(2));
    expect(verdict).toMatchObject({ outcome: "deferred", isCounted: true });
  });
});
