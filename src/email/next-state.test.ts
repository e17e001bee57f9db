import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { nextStateByReplies, nextStateByUncertainty } from "./next-state.ts";

const clock = { minuteMs: 60_000, random: 0 };
const fresh = { attempts: 1, maxRetries: 3, ageMs: 0, maxAgeSeconds: 345_600 };
const spent = { ...fresh, attempts: 4 };
const counts = { sent: 0, bounced: 0, deferred: 0 };

describe("nextStateByReplies", () => {
  test.each([
    ["all sent", { ...counts, sent: 2 }, "sent"],
    ["all bounced", { ...counts, bounced: 2 }, "failed"],
    ["some sent, some bounced", { ...counts, sent: 1, bounced: 1 }, "partially_sent"],
    ["some still deferred", { sent: 1, bounced: 1, deferred: 1 }, "pending"],
  ])("%s", (_, given, state) => {
    expect(nextStateByReplies(given, fresh, clock).state).toBe(state as "sent");
  });

  test("deferred ones whose tries ran out count as not sent", () => {
    expect(nextStateByReplies({ ...counts, deferred: 1 }, spent, clock).state).toBe("failed");
    expect(nextStateByReplies({ ...counts, deferred: 1, sent: 1 }, spent, clock).state).toBe(
      "partially_sent",
    );
  });

  test("nothing that was refused or deferred ever becomes sent, and only pending has a time", () => {
    const some = fc.integer({ min: 0, max: 3 });
    fc.assert(
      fc.property(
        fc.record({ sent: some, bounced: some, deferred: some }),
        fc.integer({ min: 1, max: 6 }),
        (given, attempts) => {
          const next = nextStateByReplies(given, { ...fresh, attempts }, clock);
          expect(next.retryInMs !== null).toBe(next.state === "pending");
          if (next.state === "sent") expect(given.bounced + given.deferred).toBe(0);
          if (next.state === "failed") expect(given.sent).toBe(0);
        },
      ),
    );
  });
});

describe("nextStateByUncertainty", () => {
  test("retry tries again while tries are left, then leaves it to a person", () => {
    expect(nextStateByUncertainty("retry", fresh, clock)).toEqual({
      state: "pending",
      retryInMs: 120_000,
    });
    expect(nextStateByUncertainty("retry", spent, clock).state).toBe("uncertain");
  });

  test("hold never tries again", () => {
    expect(nextStateByUncertainty("hold", fresh, clock)).toEqual({
      state: "uncertain",
      retryInMs: null,
    });
  });
});
