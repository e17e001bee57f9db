import { afterEach, describe, expect, test } from "bun:test";
import { createSmtpBench, recipients, sendRequest } from "../testing/smtp-fixtures.ts";
import type { SinkRule } from "../testing/smtp-sink-rules.ts";
import { classify } from "./classify.ts";
import { createRecipientCeiling } from "./recipient-ceiling.ts";

const { sinkWith, transportTo, close } = createSmtpBench();

afterEach(close);

const envelopeOf = (count: number) => ({ from: "s@example.com", recipients: recipients(count) });
const requestOf = (count: number) => sendRequest({ envelope: envelopeOf(count) });

/** As a server with a limit of its own does. */
function refusingFrom(count: number, text: string): SinkRule {
  return ({ phase, envelope }) =>
    phase === "rcpt" && envelope.recipients.length >= count ? { do: "reply", text } : null;
}

const statuses = (report: Parameters<typeof classify>[0], count: number) => {
  const verdict = classify(report, envelopeOf(count));
  return verdict.kind === "settle" ? verdict.recipients.map(({ status }) => status) : verdict;
};

describe("recipients of one transaction", () => {
  test("are as many as RCPTMAX says; the others were not tried, and are told as such", async () => {
    const sink = await sinkWith({ extensions: ["PIPELINING", "LIMITS MAILMAX=50 RCPTMAX=4"] });
    const report = await transportTo(sink).send(requestOf(10));
    expect(sink.acceptances[0]?.envelope.recipients).toHaveLength(4);
    expect(report.recipients.map(({ position }) => position)).toEqual([0, 1, 2, 3]);
    expect(report.untried).toEqual([4, 5, 6, 7, 8, 9]);
    expect(statuses(report, 10)).toEqual([...Array(4).fill("sent"), ...Array(6).fill("deferred")]);
  });

  for (const text of [
    "452 4.5.3 Too many recipients",
    "451 4.5.3 Too many",
    "552 Too many",
    "550 5.5.3 Too many",
    "452 too many recipients",
  ]) {
    test(`are as many as were taken before "${text}"`, async () => {
      const sink = await sinkWith({ rules: [refusingFrom(3, text)] });
      const transport = transportTo(sink);
      expect((await transport.send(requestOf(8))).recipients).toHaveLength(8);
      const second = await transport.send(requestOf(8));
      expect(second.recipients.map(({ reply }) => reply.code)).toEqual([250, 250, 250]);
      expect(second.untried).toEqual([3, 4, 5, 6, 7]);
    });
  }

  test("are not fewer for a refusal of one of them", async () => {
    const sink = await sinkWith({ rules: [refusingFrom(3, "452 4.2.2 Mailbox full")] });
    const transport = transportTo(sink);
    await transport.send(requestOf(8));
    expect((await transport.send(requestOf(8))).recipients).toHaveLength(8);
  });

  test("a refusal of the message does not bounce who was not tried", async () => {
    const sink = await sinkWith({ extensions: ["LIMITS RCPTMAX=1"] });
    sink.setRules(({ phase }) => (phase === "dot" ? { do: "reply", text: "550 5.6.0 no" } : null));
    const report = await transportTo(sink).send(requestOf(2));
    expect(statuses(report, 2)).toEqual(["bounced", "deferred"]);
  });

  test("a limit that was met is forgotten after an hour", () => {
    let ms = 0;
    const ceiling = createRecipientCeiling(() => ms);
    const said = (code: number, enhanced: string | null) => ({ code, enhanced, text: "" });
    ceiling.learn([
      { position: 0, reply: said(250, null) },
      { position: 1, reply: said(452, "4.5.3") },
    ]);
    const none = { mailMax: null, rcptMax: null };
    expect(ceiling.cut(envelopeOf(3), none).untried).toEqual([1, 2]);
    ms = 3_600_000;
    expect(ceiling.cut(envelopeOf(3), none).untried).toEqual([]);
    expect(ceiling.cut(envelopeOf(3), { ...none, rcptMax: 2 }).untried).toEqual([2]);
  });
});
