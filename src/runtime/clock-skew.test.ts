import { describe, expect, test } from "bun:test";
import { createLogger } from "../log.ts";
import { createClockSkew } from "./clock-skew.ts";

/** The log as an operator sees it. */
function keepingLog() {
  const lines: Record<string, unknown>[] = [];
  const stream = { write: (line: string) => void lines.push(JSON.parse(line)) };
  return { log: createLogger({ level: "debug", stream }), lines };
}

const noon = Date.UTC(2026, 10, 24, 12);

describe.each([
  ["an hour ahead", 3_600_000],
  ["an hour behind", -3_600_000],
  ["a day ahead", 86_400_000],
  ["a day behind", -86_400_000],
])("a clock %s", (_, offMs) => {
  test("is told once with its numbers, and once when it is right again", async () => {
    const { log, lines } = keepingLog();
    const clock = { now: noon };
    const skew = createClockSkew({ log, wallClock: () => clock.now });
    const measure = () => skew.measure("database", async () => new Date(noon));
    await measure();
    expect([skew.isSkewed, lines]).toEqual([false, []]);
    // It steps while we run.
    clock.now = noon + offMs;
    await measure();
    await measure();
    expect(skew.isSkewed).toBe(true);
    expect(Math.abs((skew.skewMs.database ?? 0) - offMs)).toBeLessThan(1_000);
    expect(lines.map(({ level }) => level)).toEqual(["warn"]);
    expect(lines[0]).toMatchObject({ component: "database", limit_ms: 2_000 });
    expect(Math.abs(Number(lines[0]?.skew_ms) - offMs)).toBeLessThan(1_000);
    clock.now = noon;
    await measure();
    expect(skew.isSkewed).toBe(false);
    expect(lines.map(({ level }) => level)).toEqual(["warn", "info"]);
  });
});

test("the time is the database's as soon as it was heard, and stays so while it is silent", async () => {
  const { log } = keepingLog();
  const clock = { now: noon + 3_600_000 };
  const skew = createClockSkew({ log, wallClock: () => clock.now });
  expect(skew.now()).toEqual(new Date(clock.now));
  await skew.measure("database", async () => new Date(noon));
  const unheard = Promise.withResolvers<Date>();
  const measuring = skew.measure("database", () => unheard.promise);
  clock.now += 60_000;
  expect(Math.abs(skew.now().getTime() - (noon + 60_000))).toBeLessThan(1_000);
  unheard.reject(new Error("gone"));
  await measuring.catch(() => {});
  expect(Math.abs(skew.now().getTime() - (noon + 60_000))).toBeLessThan(1_000);
});

test("a slow answer alone is no proof of a wrong clock", async () => {
  const { log, lines } = keepingLog();
  const skew = createClockSkew({ log, wallClock: () => noon + 2_005 });
  await skew.measure("redis", async () => {
    await Bun.sleep(50);
    return new Date(noon);
  });
  expect([skew.isSkewed, lines]).toEqual([false, []]);
});

test("without Redis nothing is known of its clock", async () => {
  const { log } = keepingLog();
  const skew = createClockSkew({ log });
  await skew.measure("redis", async () => null);
  expect(skew.skewMs).toEqual({ database: null, redis: null });
});
