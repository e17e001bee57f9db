import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseInstant, pastFault } from "./parse-time.ts";

const now = new Date("2026-11-24T03:00:00.000Z");

describe("accepted", () => {
  test.each([
    ["2026-11-24T03:00:00Z", "2026-11-24T03:00:00.000Z"],
    ["2026-11-24t03:00:00z", "2026-11-24T03:00:00.000Z"],
    ["2026-11-24T05:30:00+02:30", "2026-11-24T03:00:00.000Z"],
    ["2026-11-23T22:00:00-05:00", "2026-11-24T03:00:00.000Z"],
    ["2028-02-29T00:00:00Z", "2028-02-29T00:00:00.000Z"],
    ["2026-11-24T03:00:00.5Z", "2026-11-24T03:00:00.500Z"],
    ["2026-11-24T03:00:00.0001Z", "2026-11-24T03:00:00.001Z"],
    ["2026-11-24T03:00:00.123000001Z", "2026-11-24T03:00:00.124Z"],
    ["2026-12-31T23:59:59.999999999Z", "2027-01-01T00:00:00.000Z"],
    ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000Z"],
  ])("%s", (input, instant) => {
    expect(parseInstant(input)).toEqual({ value: new Date(instant) });
  });

  test("what is past by sixty seconds at most", () => {
    expect(pastFault(new Date("2026-11-24T02:59:00Z"), now)).toBeNull();
  });
});

describe("refused", () => {
  test.each([
    "2026-11-24T03:00:00",
    "2026-11-24T03:00",
    "2026-11-24 03:00:00",
    "2026-11-24 03:00:00Z",
    "2026-11-24T03:00Z",
    "2026-11-24",
    "2026-02-29T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-04-31T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-00-10T00:00:00Z",
    "2026-01-00T00:00:00Z",
    "2026-01-01T24:00:00Z",
    "2026-01-01T00:60:00Z",
    "2026-12-31T23:59:60Z",
    "2026-01-01T00:00:00+24:00",
    "2026-01-01T00:00:00+01:60",
    "2026-01-01T00:00:00+0100",
    "2026-01-01T00:00:00 01:00",
    "2026-01-01T00:00:00.Z",
    "2026-01-01T00:00:00.1234567891Z",
    "2026-01-01T00:00:00Z\n",
    " 2026-01-01T00:00:00Z",
    "9999-12-31T23:59:59-01:00",
    "+010000-01-01T00:00:00Z",
    "Tue, 24 Nov 2026 03:00:00 GMT",
    "tomorrow",
    "",
  ])("%j", (input) => {
    expect(parseInstant(input)).toEqual({ fault: expect.stringContaining(", got ") });
  });

  test.each([[1764000000], [null], [undefined], [true], [{}], [new Date()]])("%p", (input) => {
    expect(parseInstant(input)).toHaveProperty("fault");
  });

  test("a time without offset, with words that say what to add", () => {
    expect(parseInstant("2026-11-24T03:00:00")).toEqual({
      fault: expect.stringContaining("without an offset: add Z or one such as +02:00"),
    });
  });

  test("what is past by more than sixty seconds", () => {
    expect(pastFault(new Date("2026-11-24T02:58:59.999Z"), now)).toContain(
      "not in the past (it is 2026-11-24T03:00:00.000Z), got 2026-11-24T02:58:59.999Z",
    );
  });
});

test("every instant of our years comes back from its ISO text, at any offset", () => {
  const instants = fc.date({
    min: new Date("1970-01-02T00:00:00Z"),
    max: new Date("9999-12-30T00:00:00Z"),
    noInvalidDate: true,
  });
  fc.assert(
    fc.property(instants, fc.integer({ min: -1439, max: 1439 }), (instant, minutes) => {
      const local = new Date(instant.getTime() + minutes * 60_000).toISOString().slice(0, -1);
      const offset = `${String(Math.floor(Math.abs(minutes) / 60)).padStart(2, "0")}:${String(Math.abs(minutes) % 60).padStart(2, "0")}`;
      const text = `${local}${minutes < 0 ? "-" : "+"}${offset}`;
      expect(parseInstant(text)).toEqual({ value: instant });
    }),
  );
});

test("whatever comes: a fault or an instant, never an exception", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.anything()), (input) => {
      const parsed = parseInstant(input);
      expect("fault" in parsed || !Number.isNaN(parsed.value.getTime())).toBe(true);
    }),
  );
});
