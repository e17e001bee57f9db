import { describe, expect, test } from "bun:test";
import type { SendReport } from "../email/smtp.ts";
import { classify } from "./classify.ts";
import { createOutcomeTransport } from "./outcome-transport.ts";
import type { SendRequest, Transport } from "./transport.ts";

const accepted = { code: 250, enhanced: "2.0.0", text: "captured" };

/** Takes everything that it is given, and says to whom it was. */
function innerTransport() {
  const envelopes: string[][] = [];
  const inner: Transport = {
    name: "capture",
    send: async ({ envelope }): Promise<SendReport> => {
      envelopes.push(envelope.recipients.map(({ address }) => address));
      const recipients = envelope.recipients.map(({ position }) => ({ position, reply: accepted }));
      const said = { error: null, withheld: null, transport: "capture", messageDate: new Date(0) };
      return { phase: "reply", fenced: true, reply: accepted, recipients, ...said };
    },
    close: async () => {},
  };
  return { inner, envelopes };
}

function requestTo(addresses: string[]): SendRequest {
  const recipients = addresses.map((address, position) => ({ position, address }));
  return {
    emailId: "one",
    ownerId: "ada",
    envelope: { from: "a@example.com", recipients },
    message: new Uint8Array(),
    messageDate: null,
    fence: async () => ({ granted: true }),
    signal: new AbortController().signal,
  };
}

async function verdictOf(transport: Transport, addresses: string[]): Promise<string[]> {
  const request = requestTo(addresses);
  const verdict = classify(await transport.send(request), request.envelope);
  if (verdict.kind === "settle") {
    return [verdict.outcome, ...verdict.recipients.map(({ status }) => status)];
  }
  return [verdict.kind];
}

describe("a recipient under outcome.test", () => {
  test.each([
    [["sent@outcome.test"], ["sent", "sent"]],
    [["Bounced@Outcome.Test"], ["bounced", "bounced"]],
    [
      ["partial@outcome.test", "bob@example.com"],
      ["partial", "bounced", "sent"],
    ],
    [["deferred@outcome.test"], ["deferred", "deferred"]],
    [["uncertain@outcome.test"], ["uncertain"]],
    [["slow@outcome.test"], ["sent", "sent"]],
    [["nobody@outcome.test"], ["sent", "sent"]],
    [["bounced@example.com"], ["sent", "sent"]],
  ])("%j comes to %j", async (addresses, outcome) => {
    const { inner } = innerTransport();
    const transport = createOutcomeTransport(inner, { wait: async () => undefined });
    expect(await verdictOf(transport, addresses)).toEqual(outcome);
  });

  test("deferred@ is taken at the third attempt", async () => {
    const { inner, envelopes } = innerTransport();
    const transport = createOutcomeTransport(inner);
    const outcomes: unknown[] = [];
    for (let n = 0; n < 3; n++) {
      outcomes.push((await verdictOf(transport, ["deferred@outcome.test"]))[0]);
    }
    expect(outcomes).toEqual(["deferred", "deferred", "sent"]);
    expect(envelopes).toEqual([["deferred@outcome.test"]]);
  });

  test("slow@ takes ten seconds", async () => {
    const waits: number[] = [];
    const wait = async (ms: number) => void waits.push(ms);
    const transport = createOutcomeTransport(innerTransport().inner, { wait });
    await verdictOf(transport, ["slow@outcome.test"]);
    expect(waits).toEqual([10_000]);
  });
});
