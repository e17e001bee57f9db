import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { simpleParser } from "mailparser";
import type { Outcome } from "../../email/email.ts";
import { isLegalEdge } from "../../email/states.ts";
import { claimOne } from "../../testing/fixtures/claim-one.ts";
import { startTestApi, type TestApi } from "../../testing/product/test-api.ts";

setDefaultTimeout(240_000);

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api?.close());

type Step =
  | { do: "edit" | "replay"; to: string[] | null; subject: string | null }
  | { do: "reschedule" | "hold" | "release" | "cancel" }
  | { do: "attempt"; outcome: Outcome };

const addresses = ["a@one.example", "b@one.example", "c@two.example", "d@two.example"];
const edit = {
  to: fc.option(fc.subarray(addresses, { minLength: 1 }), { nil: null }),
  subject: fc.option(fc.constantFrom("First", "Second"), { nil: null }),
};
const outcome = fc.oneof(
  fc.constant("partial" as const),
  fc.constantFrom("sent", "deferred", "bounced", "uncertain"),
) as fc.Arbitrary<Outcome>;
const plain = fc.constantFrom("reschedule", "hold", "release", "cancel");
// Weighted so that emails get far: an attempt that succeeds in part, and a replay after it.
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant("edit" as const), ...edit }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("replay" as const), ...edit }) },
  { weight: 3, arbitrary: fc.record({ do: plain }) as fc.Arbitrary<Step> },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("attempt" as const), outcome }) },
);

interface Email {
  status: Parameters<typeof isLegalEdge>[0];
  version: number;
  subject: string;
  attempts: unknown[];
  recipients: { address: string; status: string }[];
}

async function read(id: string): Promise<Email> {
  return (await api.request<Email>("GET", `/api/v1/status/${id}`)).json.data;
}

function request(id: string, taken: Exclude<Step, { do: "attempt" }>) {
  const email = `/api/v1/emails/${id}`;
  switch (taken.do) {
    case "edit":
      return api.request("PATCH", email, { body: bodyOf(taken) });
    case "replay":
      return api.request("POST", `/api/v1/dead-letters/${id}/replay`, { body: bodyOf(taken) });
    case "reschedule":
      return api.request("POST", `${email}/send-now`);
    case "hold":
    case "release":
      return api.request("POST", `${email}/${taken.do}`);
    case "cancel":
      return api.request("DELETE", `/api/v1/cancel/${id}`);
  }
}

function bodyOf({ to, subject }: { to: string[] | null; subject: string | null }) {
  return { ...(to ? { recipients: to } : {}), ...(subject ? { subject } : {}) };
}

/** One attempt, if the email is due; the first of those to be tried is treated as the outcome says. */
async function attempt(id: string, outcome: Outcome, isCancelled: boolean): Promise<void> {
  const { attempts } = api.delivery.deps;
  const claimed = await claimOne(api.database, attempts, id);
  if (claimed === null) return;
  expect(isCancelled).toBe(false);
  const { token, recipients } = claimed;
  expect(recipients.length).toBeGreaterThan(0);
  await attempts.fence(id, token, new Date());
  const first = { sent: "sent", partial: "sent", bounced: "bounced" } as const;
  const others = { sent: "sent", partial: "bounced", bounced: "bounced" } as const;
  const isSplit = outcome === "partial" && recipients.length > 1;
  const known = outcome === "partial" && !isSplit ? "sent" : outcome;
  const hasSent = (await read(id)).recipients.some(({ status }) => status === "sent");
  const isKnown = known === "sent" || known === "partial" || known === "bounced";
  await attempts.settle({
    id,
    token,
    transport: "smtp.example.net:25",
    outcome: known,
    nextState: nextState(known, hasSent),
    retryInMs: known === "deferred" ? 0 : null,
    smtpCode: null,
    enhancedCode: null,
    reply: null,
    recipients: recipients.map(({ position }, index) => ({
      position,
      status: isKnown ? (index === 0 ? first[known] : others[known]) : "deferred",
      smtpCode: null,
      enhancedCode: null,
      reply: null,
    })),
  });
}

function nextState(outcome: Outcome, hasSent: boolean) {
  if (outcome === "deferred") return "pending";
  if (outcome === "uncertain") return "uncertain";
  if (outcome === "sent") return "sent";
  return outcome === "partial" || hasSent ? "partially_sent" : "failed";
}

const gotIt = ({ recipients }: Email) =>
  recipients.filter(({ status }) => status === "sent").map(({ address }) => address);

test("whatever people and workers do in turn, an email stays whole and nobody gets it twice", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 9 }), async (steps) => {
      const id = await api.schedule({ recipients: addresses.slice(0, 2), body: "Text." });
      let before = await read(id);
      let isCancelled = false;
      for (const taken of steps) {
        if (taken.do === "attempt") {
          await attempt(id, taken.outcome, isCancelled);
        } else {
          const { status } = await request(id, taken);
          expect([200, 409, 422]).toContain(status);
          if (taken.do === "cancel" && status === 200) isCancelled = true;
        }
        const after = await read(id);
        checkStep(before, after, taken);
        before = after;
      }
      await checkWhole(id, before);
    }),
    { numRuns: process.env.TEST_LONG ? 400 : 50 },
  );
});

function checkStep(before: Email, after: Email, taken: Step): void {
  if (before.status !== after.status && taken.do !== "attempt") {
    expect([before.status, after.status, isLegalEdge(before.status, after.status, false)]).toEqual([
      before.status,
      after.status,
      true,
    ]);
  }
  expect(after.version).toBeGreaterThanOrEqual(before.version);
  expect(after.attempts.length).toBeGreaterThanOrEqual(before.attempts.length);
  // A recipient who has got it is never forgotten, and never tried again.
  expect(gotIt(after)).toEqual(expect.arrayContaining(gotIt(before)));
  const named = after.recipients.map(({ address }) => address);
  expect(new Set(named).size).toBe(named.length);
  if (after.status === "pending") {
    const isOpen = after.recipients.some(({ status }) => ["pending", "deferred"].includes(status));
    expect(isOpen).toBe(true);
  }
}

/** The stored message says what the rows say, and the timeline has no gap. */
async function checkWhole(id: string, email: Email): Promise<void> {
  const path = `/api/v1/emails/${id}`;
  const message = await simpleParser((await api.request("GET", `${path}/raw`)).text);
  const to = [message.to ?? []].flat().flatMap(({ value }) => value.map(({ address }) => address));
  expect(to.sort()).toEqual(email.recipients.map(({ address }) => address).sort());
  expect(message.subject).toBe(email.subject);
  expect(message.messageId).toBe(`<${id}@example.org>`);
  const { json } = await api.request<{ sequence: number }[]>("GET", `${path}/events`);
  expect(json.data.map(({ sequence }) => sequence)).toEqual(json.data.map((_, n) => n + 1));
}
