import { expect, test } from "bun:test";
import {
  callBudgetLeftMs,
  liftCallBudget,
  spendCallBudget,
  withCallBudget,
  withoutCallBudget,
} from "./call-budget.ts";
import { createGroupCommit } from "./group-commit.ts";

test("calls of one request share what it may wait, and its own work does not count", async () => {
  await withCallBudget(1_000, async () => {
    await Bun.sleep(20);
    expect(callBudgetLeftMs()).toBe(1_000);
    await spendCallBudget(() => Bun.sleep(50));
    const left = callBudgetLeftMs();
    expect(left).toBeLessThan(960);
    // Two at once are waited for once.
    await Promise.all([spendCallBudget(() => Bun.sleep(50)), spendCallBudget(() => Bun.sleep(50))]);
    expect(callBudgetLeftMs()).toBeWithin(0, left - 40);
  });
});

test("outside of a request, after it, and where it was lifted, nothing is left out", async () => {
  expect(callBudgetLeftMs()).toBe(Number.POSITIVE_INFINITY);
  const later = Promise.withResolvers<number>();
  await withCallBudget(10, async () => {
    setTimeout(() => later.resolve(callBudgetLeftMs()), 20);
    expect(withoutCallBudget(callBudgetLeftMs)).toBe(Number.POSITIVE_INFINITY);
    expect(callBudgetLeftMs()).toBe(10);
  });
  expect(await later.promise).toBe(Number.POSITIVE_INFINITY);
  await withCallBudget(10, async () => {
    liftCallBudget();
    expect(callBudgetLeftMs()).toBe(Number.POSITIVE_INFINITY);
  });
});

test("a call of many is not part of the request that began it, each item waits by its own", async () => {
  const seen: number[] = [];
  const group = createGroupCommit<number, number>({
    send: (items) => {
      seen.push(callBudgetLeftMs());
      return items.includes(1) ? new Promise(() => {}) : Promise.resolve(items);
    },
    callsMax: 1,
    deadlineMs: 2_000,
  });
  const startedAt = performance.now();
  const hurried = withCallBudget(50, () => group.add(1)).catch((error: unknown) => error);
  expect(await hurried).toMatchObject({ code: "database_unavailable" });
  expect(performance.now() - startedAt).toBeLessThan(1_500);
  expect(seen).toEqual([Number.POSITIVE_INFINITY]);
});
