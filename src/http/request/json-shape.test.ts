import { expect, test } from "bun:test";
import fc from "fast-check";
import { jsonShape } from "./json-shape.ts";

const shapeOf = (text: string) => jsonShape(Buffer.from(text));

/** The same by walking the parsed value: a field counts as one for its name and one for its value. */
function walked(value: unknown): { depth: number; commas: number; colons: number } {
  if (typeof value !== "object" || value === null) return { depth: 0, commas: 0, colons: 0 };
  const parts = Object.values(value).map(walked);
  return {
    depth: 1 + Math.max(0, ...parts.map(({ depth }) => depth)),
    commas: Math.max(0, parts.length - 1) + parts.reduce((sum, { commas }) => sum + commas, 0),
    colons:
      (Array.isArray(value) ? 0 : parts.length) +
      parts.reduce((sum, { colons }) => sum + colons, 0),
  };
}

test("depth and values of any JSON are those of what it parses to", () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 8 }), (text) => {
      const { depth, commas, colons } = walked(JSON.parse(text));
      expect(shapeOf(text)).toMatchObject({ depth, values: 1 + commas + colons });
    }),
    { numRuns: 2_000 },
  );
});

test("brackets, commas and quotes within texts do not count, however they are escaped", () => {
  for (const text of ["[{,:]", '\\"[', "\\\\", '\\\\\\"[,', "\\\\\\\\", '""[[', "\\u005b["]) {
    expect(shapeOf(JSON.stringify([text]))).toMatchObject({ depth: 1, values: 1 });
  }
});

test("a text without an end holds all that follows", () => {
  expect(shapeOf('["a[[[,,,')).toMatchObject({ depth: 1, values: 1 });
  expect(shapeOf('["a\\"[[[')).toMatchObject({ depth: 1, values: 1 });
});

test("a number is long from 16 characters on, or with an exponent, wherever it stands", () => {
  for (const text of ["[1234567890123456]", '{"a":-1.234567890123456}', "1e3", "[0,2E-400]"]) {
    expect([text, shapeOf(text).hasLongNumber]).toEqual([text, true]);
  }
  for (const text of ["[123456789012345]", '["12345678901234567","1e9"]', "[true,false]", "0.1"]) {
    expect([text, shapeOf(text).hasLongNumber]).toEqual([text, false]);
  }
});
