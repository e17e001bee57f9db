import { expect, test } from "bun:test";
import { middle, percentile, ratios, unevenness } from "./statistics.ts";

test("the median of an odd number is the one in the middle, of an even number the mean of two", () => {
  expect(middle([9, 1, 5])).toEqual({ median: 5, min: 1, max: 9 });
  expect(middle([8, 2, 4, 6])).toEqual({ median: 5, min: 2, max: 8 });
});

test("nothing measured is an error, never a number", () => {
  expect(() => middle([])).toThrow("median of nothing");
  expect(() => percentile([], 0.5)).toThrow("percentile of nothing");
});

test("a percentile is the smallest value that so many do not exceed", () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
  expect(percentile(hundred, 0.99)).toBe(99);
  expect(percentile(hundred, 0.5)).toBe(50);
  expect(percentile(hundred, 1)).toBe(100);
  expect(percentile([7], 0.01)).toBe(7);
});

test("ratios are taken round by round", () => {
  expect(ratios([10, 30], [5, 10])).toEqual([2, 3]);
  expect(() => ratios([1], [1, 2])).toThrow("unequally many");
});

test("unevenness is how far the largest is above the smallest", () => {
  expect(unevenness([100, 120, 110])).toBeCloseTo(0.2);
});
