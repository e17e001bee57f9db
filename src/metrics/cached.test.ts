import { expect, test } from "bun:test";
import { cached } from "./cached.ts";

function createClock() {
  let now = 0;
  return { now: () => now, pass: (ms: number) => (now += ms) };
}

test("whoever asks within five seconds, also at the same moment, gets the same answer", async () => {
  const clock = createClock();
  let reads = 0;
  const read = cached(async () => ++reads, clock.now);
  expect(await Promise.all([read(), read(), read()])).toEqual([1, 1, 1]);
  clock.pass(4_999);
  expect(await read()).toBe(1);
  clock.pass(1);
  expect(await read()).toBe(2);
});

test("an answer that took a second is kept for twenty", async () => {
  const clock = createClock();
  let reads = 0;
  const read = cached(async () => {
    clock.pass(1_000);
    return ++reads;
  }, clock.now);
  expect(await read()).toBe(1);
  clock.pass(19_999);
  expect(await read()).toBe(1);
  clock.pass(1);
  expect(await read()).toBe(2);
});

test("a failure is null, and is not asked for again at once either", async () => {
  const clock = createClock();
  let reads = 0;
  const read = cached(async () => {
    reads += 1;
    throw new Error("no database");
  }, clock.now);
  expect(await read()).toBeNull();
  expect(await read()).toBeNull();
  expect(reads).toBe(1);
});
