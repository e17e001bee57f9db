import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { InexactNumber, parseExactly, plainDecimal } from "./inexact-number.ts";

describe("a number of JSON", () => {
  test("that a double cannot hold is kept apart, with its digits", () => {
    const sources = [
      ...["76561198000000001", "9007199254740993", "-9007199254740993", "12345678901234567890.5"],
      ...["3.14159265358979323846", "1e400", "-1E400", "1e-400", "0.1000000000000000000001"],
    ];
    for (const source of sources) {
      expect(parseExactly(`{"a":[${source}]}`)).toEqual({ a: [new InexactNumber(source)] });
    }
  });

  test("that a double holds is that double, however it is written", () => {
    const sources = [
      ...["0", "-0", "0.1", "1.50", "100", "1e3", "1E+3", "0.0012e-5", "9007199254740992"],
      ...["18014398509481984", "123456789012345680000", "1e21", "0e999", "5e-324", "0.000"],
    ];
    for (const source of sources) expect(parseExactly(source)).toBe(Number(source));
  });

  test("that was written from a double always is one", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (number) => {
        expect(parseExactly(JSON.stringify([number]))).toEqual([number === 0 ? 0 : number]);
      }),
      { numRuns: 2_000 },
    );
  });
});

test("a number as PostgreSQL writes it has no exponent", () => {
  const texts = [
    ...([
      [0, "0"],
      [-0, "0"],
      [12, "12"],
      [-1.5, "-1.5"],
      [1e21, `1${"0".repeat(21)}`],
    ] as const),
    ...([
      [1e-7, "0.0000001"],
      [-2.5e-8, "-0.000000025"],
      [1.5e22, `15${"0".repeat(21)}`],
    ] as const),
  ];
  for (const [number, text] of texts) expect(plainDecimal(number)).toBe(text);
});
