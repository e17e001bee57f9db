import { afterEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Envelope } from "../email/smtp.ts";
import { createSmtpBench, recipients, sendRequest } from "../testing/fixtures/smtp-fixtures.ts";
import type { SinkAction, SinkRule } from "../testing/servers/smtp-sink-rules.ts";
import { classify, type Verdict } from "./classify.ts";

const bench = createSmtpBench();
afterEach(() => bench.close());

type Fate = "sent" | "deferred" | "bounced" | "unknown";

const rcptReplies = {
  "250 2.1.5 ok": null,
  "450 4.2.0 Greylisted": "deferred",
  "452 4.2.2 Mailbox full": "deferred",
  "550 4.7.1 Come again": "deferred",
  "550 5.1.1 No such user": "bounced",
  "552 5.2.2 Mailbox full": "bounced",
  "450 5.7.1 Not now": "deferred",
} as const satisfies Record<string, Fate | null>;

const dotReplies: Record<string, { action: SinkAction | null; fate: Fate }> = {
  taken: { action: null, fate: "sent" },
  "451": { action: { do: "reply", text: "451 4.3.0 Later" }, fate: "deferred" },
  "554": { action: { do: "reply", text: "554-5.7.1 Not\n554 5.7.1 this" }, fate: "bounced" },
  "421": { action: { do: "reply_then_drop", text: "421 4.3.2 Bye" }, fate: "deferred" },
  dropped: { action: { do: "drop" }, fate: "unknown" },
  "taken, answer lost": { action: { do: "accept_then_drop" }, fate: "unknown" },
};

type RcptReply = keyof typeof rcptReplies;
const anyRcpts = fc.array(fc.constantFrom(...(Object.keys(rcptReplies) as RcptReply[])), {
  minLength: 1,
  maxLength: 5,
});
const anyDot = fc.constantFrom(...Object.keys(dotReplies));

/** What RFC 5321 and 3463 make of it, recipient by recipient. */
function expectedFates(rcpts: RcptReply[], dot: string): Fate[] {
  return rcpts.map((reply) => rcptReplies[reply] ?? dotReplies[dot]?.fate ?? "unknown");
}

function fatesOf(verdict: Verdict, { recipients: all }: Envelope): Fate[] {
  if (verdict.kind !== "settle" && verdict.kind !== "uncertain") throw new Error(verdict.kind);
  const found = new Map(verdict.recipients.map(({ position, status }) => [position, status]));
  return all.map(({ position }) => found.get(position) ?? "unknown");
}

function ruleFor(rcpts: RcptReply[], dot: string): SinkRule {
  return ({ phase, argument }) => {
    if (phase === "dot") return dotReplies[dot]?.action ?? null;
    if (phase !== "rcpt") return null;
    const text = rcpts[Number(/^r(\d+)@/.exec(argument)?.[1])] ?? "250 ok";
    return text.startsWith("250") ? null : { do: "reply", text };
  };
}

describe("a message to several recipients, over a real conversation", () => {
  test("each of them ends as its own reply, and then the last one, says", async () => {
    const sink = await bench.sinkWith();
    const transport = bench.transportTo(sink);
    await fc.assert(
      fc.asyncProperty(anyRcpts, anyDot, async (rcpts, dot) => {
        sink.setRules(ruleFor(rcpts, dot));
        const envelope = { from: "sender@example.com", recipients: recipients(rcpts.length) };
        const report = await transport.send(sendRequest({ envelope }));
        const verdict = classify(report, envelope);
        expect(fatesOf(verdict, envelope)).toEqual(expectedFates(rcpts, dot));
        const isUncertain = expectedFates(rcpts, dot).includes("unknown");
        expect(verdict.kind).toBe(isUncertain ? "uncertain" : "settle");
      }),
      { numRuns: 150 },
    );
  }, 60_000);
});
