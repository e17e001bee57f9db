import { expect, test } from "bun:test";
import { createSlowStart, type SlowStart } from "./slow-start.ts";

/** Begins as many as there is room for, and ends them all well. */
function round(pace: SlowStart): number {
  let count = 0;
  for (; pace.hasRoom; count++) pace.begin();
  for (let i = 0; i < count; i++) pace.end("works");
  return count;
}

test("all are let through at first", () => {
  const pace = createSlowStart(16);
  expect(round(pace)).toBe(16);
});

test("after a restart each round of successes doubles, up to the full number", () => {
  const pace = createSlowStart(16);
  pace.restart();
  expect(Array.from({ length: 5 }, () => round(pace))).toEqual([2, 4, 8, 16, 16]);
});

test("beyond half of what was too many it grows by one each round", () => {
  const pace = createSlowStart(100);
  for (let i = 0; i < 16; i++) pace.begin();
  pace.halve();
  pace.restart();
  const rounds = Array.from({ length: 6 }, () => round(pace));
  expect(rounds.slice(0, 3)).toEqual([2, 4, 8]);
  expect(rounds[5] ?? 0).toBeLessThanOrEqual(11);
  for (let i = 0; i < 200; i++) round(pace);
  expect(pace.limit).toBe(100);
});

test("what showed nothing makes no room", () => {
  const pace = createSlowStart(16);
  pace.restart();
  pace.begin();
  pace.end("nothing");
  expect(pace.limit).toBe(2);
});
