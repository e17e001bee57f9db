import { expect, test } from "bun:test";
import { faults } from "./catalogue.ts";
import type { EmailHistory } from "./history.ts";
import { beyondHarmMs } from "./measure.ts";

const due = Date.parse("2026-11-24T09:00:00Z");

type Known = Pick<EmailHistory, "ackedAt" | "attempts" | "acceptances">;

function sentAfter(ms: number, fields: Partial<Known> = {}): EmailHistory {
  const acceptance = {
    messageId: "<e1@example.test>",
    at: due + ms,
    recipients: ["bob@example.test"],
    sha256: "aa",
    isAnswered: true,
    content: null,
  };
  const known = { ackedAt: due - 1_000, attempts: [], acceptances: [acceptance], ...fields };
  return { ...known, row: { scheduledAt: due } } as unknown as EmailHistory;
}

const outage = (fromMs: number, toMs: number) => ({ from: due + fromMs, to: due + toMs });

function deferredAt(ms: number): EmailHistory["attempts"][number] {
  const endedAt = due + ms;
  return {
    number: 1,
    startedAt: endedAt,
    endedAt,
    outcome: "deferred",
    smtpCode: 450,
    hasReply: true,
    enhancedCode: null,
    isCounted: true,
  };
}

test("lateness counts from the later of due time and 201", () => {
  expect(beyondHarmMs(sentAfter(5_000), [], 100)).toBe(5_000);
  expect(beyondHarmMs(sentAfter(5_000, { ackedAt: due + 4_000 }), [], 100)).toBe(1_000);
});

test("an email that nobody took has no lateness; the other rules judge it", () => {
  expect(beyondHarmMs(sentAfter(0, { acceptances: [] }), [], 100)).toBe(null);
});

test("an outage excuses only the wait it covers, once however many overlap", () => {
  const outages = [outage(-500, 1_000), outage(500, 2_000), outage(4_000, 9_000)];
  expect(beyondHarmMs(sentAfter(5_000), outages, 100)).toBe(2_000);
});

test("a deferral excuses 2^n minutes and their jitter, and no more", () => {
  const attempts = [deferredAt(100), deferredAt(1_000)];
  // 250 ms after the first attempt, 500 ms after the second.
  expect(beyondHarmMs(sentAfter(5_000, { attempts }), [], 100)).toBe(4_250);
});

test("every fault has a limit of lateness at both scales", () => {
  for (const { name, limits } of faults) {
    const limit = limits.latenessP99Ms;
    const values = typeof limit === "number" ? [limit] : [limit.small, limit.full];
    for (const value of values)
      expect({ name, isBounded: value > 0 && value < 600_000 }).toEqual({
        name,
        isBounded: true,
      });
  }
});
