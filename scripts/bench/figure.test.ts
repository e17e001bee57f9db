import { expect, test } from "bun:test";
import { type Figure, figureCells, figureText, short, verdict } from "./figure.ts";

const higher = { gate: 1.2, aim: 2, better: "higher" } as const;
const lower = { gate: 40, aim: 15, better: "lower" } as const;

test.each([
  ["aim", higher, [1, 2, 3]],
  ["gate", higher, [1, 1.2, 9]],
  ["missed", higher, [1.19]],
  ["aim", lower, [15]],
  ["gate", lower, [16, 40, 900]],
  ["missed", lower, [40.1]],
] as const)("the median decides: %s", (expected, target, values) => {
  expect(verdict({ name: "x", unit: "×", values: [...values], target })).toBe(expected);
});

test("a reference is not judged", () => {
  expect(verdict({ name: "ceiling", unit: "/s", values: [1] })).toBe("");
});

test("a value that is not a number reaches nothing", () => {
  expect(verdict({ name: "x", unit: "ms", values: [Number.NaN], target: lower })).toBe("missed");
});

test("several rounds show their range, one does not", () => {
  expect(figureText({ unit: "×", values: [2.126, 1.98, 2.2] })).toBe("2.13 × (1.98–2.20)");
  expect(figureText({ unit: "MB", values: [88.25] })).toBe("88.3 MB");
});

test("a row says what is asked in the direction in which it is asked", () => {
  const figure: Figure = { name: "late", unit: "ms", values: [20], target: lower };
  expect(figureCells(figure)).toEqual(["late", "≤ 40 ms", "≤ 15 ms", "20 ms", "✓ gate"]);
});

test("three digits that mean something", () => {
  expect([0.034, 1.5, 12.34, 1234.5, 5].map(short)).toEqual(["0.03", "1.50", "12.3", "1,235", "5"]);
});
