import { describe, expect, test } from "bun:test";
import { createOwnerTurns } from "./owner-turns.ts";

/** Whether it resolves without anything else happening. */
async function isImmediate(promise: Promise<unknown>): Promise<boolean> {
  const none = Symbol("none");
  return (await Promise.race([promise, new Promise((r) => setImmediate(() => r(none)))])) !== none;
}

describe("an owner's turns", () => {
  test("are so many at a time; the next begins as one ends; others need not wait", async () => {
    const turns = createOwnerTurns({ runningMax: 2 });
    const first = await turns.enter("flood");
    await turns.enter("flood");
    const third = turns.enter("flood");
    const fourth = turns.enter("flood");
    expect(await isImmediate(third)).toBe(false);
    expect(await isImmediate(turns.enter("other"))).toBe(true);
    first();
    first();
    expect(await isImmediate(third)).toBe(true);
    expect(await isImmediate(fourth)).toBe(false);
    (await third)();
    await fourth;
  });

  test("that would wait behind too many, or too long, are refused with 429", async () => {
    const turns = createOwnerTurns({ runningMax: 1, waitingMax: 1, waitMs: 1 });
    const first = await turns.enter("flood");
    const second = turns.enter("flood");
    expect(turns.enter("flood")).rejects.toMatchObject({ code: "rate_limited" });
    expect(second).rejects.toMatchObject({ code: "rate_limited" });
    await second.catch(() => {});
    first();
    expect(await isImmediate(turns.enter("flood"))).toBe(true);
  });

  test("of a caller who went away leave the line", async () => {
    const turns = createOwnerTurns({ runningMax: 1 });
    const first = await turns.enter("flood");
    const gone = new AbortController();
    const second = turns.enter("flood", gone.signal);
    const third = turns.enter("flood");
    gone.abort(new Error("gone"));
    expect(second).rejects.toThrow("gone");
    first();
    await third;
  });

  test("may be apart by a pause, that others do not share", async () => {
    const seen: number[] = [];
    const turns = createOwnerTurns({
      runningMax: 1,
      pauseMs: (_, tookMs) => {
        seen.push(tookMs);
        return 5;
      },
    });
    (await turns.enter("flood"))();
    const next = turns.enter("flood");
    expect(await isImmediate(next)).toBe(false);
    expect(await isImmediate(turns.enter("other"))).toBe(true);
    await next;
    expect(seen).toHaveLength(1);
  });
});
