import { expect, test } from "bun:test";
import fc from "fast-check";
import { createFairPlaces, placesPerSecond, priorityOf, secondOf } from "./fair-places.ts";

const noon = Date.UTC(2030, 0, 2, 12);
const second = noon / 1_000;

test("a flood stands in line behind itself; who sends little keeps the place of their time", () => {
  const places = createFairPlaces();
  const flood = Array.from({ length: 1_000 }, () => places.take("ada", noon).second);
  expect(flood).toEqual(flood.toSorted((one, other) => one - other));
  expect(flood[0]).toBe(second);
  expect(flood.at(-1)).toBe(second + 1_000 / placesPerSecond - 1);
  expect(places.take("bob", noon).second).toBe(second);
  expect(places.take("bob", noon + 1_000).second).toBe(second + 1);
  expect(places.take(undefined, noon).second).toBe(second);
});

test("an email knows how many of its owner's own go first", () => {
  const places = createFairPlaces();
  const ahead = Array.from({ length: 100 }, () => places.take("ada", noon).ahead);
  expect(ahead).toEqual(Array.from({ length: 100 }, (_, index) => index));
  expect(places.take("ada", noon + 2_000).ahead).toBe(80);
  expect(places.take("ada", noon + 60_000).ahead).toBe(0);
  expect(places.take("bob", noon).ahead).toBe(0);
});

test("emails that are queued ahead, in any order, are not behind what is due after them", () => {
  const places = createFairPlaces();
  for (let n = 0; n < 1_000; n++) places.take("ada", noon + 300_000);
  expect(places.take("ada", noon).second).toBe(second);
  // What is due in the middle of the flood is behind it, also when it is queued later.
  expect(places.take("ada", noon + 310_000).second).toBe(second + 400);
});

test("nobody has more than their places in a second, and everybody's come in order", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom("ada", "bob", "eve"), { maxLength: 400 }), (owners) => {
      const places = createFairPlaces();
      const taken = new Map<string, number[]>();
      for (const [n, owner] of owners.entries()) {
        const { second: place } = places.take(owner, noon + n);
        taken.set(owner, [...(taken.get(owner) ?? []), place]);
      }
      for (const list of taken.values()) {
        expect(list).toEqual(list.toSorted((one, other) => one - other));
        const most = Math.max(...list.map((at) => list.filter((other) => other === at).length));
        expect(most).toBeLessThanOrEqual(placesPerSecond);
      }
    }),
    { numRuns: 50 },
  );
});

test("whoever has nothing waiting begins afresh; a flood that still waits does not", () => {
  const places = createFairPlaces();
  for (let n = 0; n < 1_000; n++) places.take("ada", noon);
  for (let n = 0; n < 100; n++) places.take("bob", noon);
  places.forgetServed(second + 50, noon + 5_000);
  expect(places.take("bob", noon + 5_000).second).toBe(second + 5);
  expect(places.take("ada", noon + 5_000).second).toBe(second + 100);
  places.forgetServed(null, noon + 6_000);
  expect(places.isEmpty).toBe(true);
  expect(places.take("ada", noon + 6_000).second).toBe(second + 6);
});

test("a flood that is not due yet keeps its line however empty the queue is", () => {
  const places = createFairPlaces();
  for (let n = 0; n < 100; n++) places.take("ada", noon + 60_000);
  places.forgetServed(null, noon);
  expect(places.take("ada", noon + 60_000).second).toBe(second + 70);
});

test("a place is a priority that BullMQ takes, and is known again by it, also across the turn", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 2 ** 22 }),
      fc.integer({ min: -5e5, max: 5e5 }),
      (at, off) => {
        const now = (second + at) * 1_000;
        const place = second + at + off;
        const priority = priorityOf(place);
        expect(priority).toBeGreaterThanOrEqual(1);
        expect(priority).toBeLessThan(2 ** 21);
        expect(secondOf(priority, now)).toBe(place);
      },
    ),
  );
});
