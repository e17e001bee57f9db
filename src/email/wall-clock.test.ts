import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import {
  parseLocalTime,
  parseTimezone,
  type ResolvedWallClock,
  resolveWallClock,
  type WallClock,
} from "./wall-clock.ts";

setDefaultTimeout(120_000);

const berlin = { timezone: "Europe/Berlin", gap: "later", overlap: "first" } as const;

function resolve(wish: Partial<WallClock>): ResolvedWallClock {
  const resolved = resolveWallClock({ localTime: "2027-01-01T09:00", ...berlin, ...wish });
  if ("fault" in resolved) throw new Error(resolved.fault);
  return resolved.value;
}

describe("a local time", () => {
  test.each([
    ["2027-01-04T09:00", {}, "2027-01-04T08:00:00.000Z", "exact"],
    ["2027-03-28T02:30", {}, "2027-03-28T01:30:00.000Z", "gap"],
    ["2027-03-28T02:30", { gap: "earlier" }, "2027-03-28T00:30:00.000Z", "gap"],
    ["2027-10-31T02:30", {}, "2027-10-31T00:30:00.000Z", "overlap"],
    ["2027-10-31T02:30", { overlap: "second" }, "2027-10-31T01:30:00.000Z", "overlap"],
    ["2027-01-04T09:00:07.5", {}, "2027-01-04T08:00:07.500Z", "exact"],
  ] as const)("%s with %j", (localTime, policy, instant, resolution) => {
    const resolved = resolve({ localTime, ...policy });
    expect([resolved.scheduledAt.toISOString(), resolved.resolution]).toEqual([
      instant,
      resolution,
    ]);
  });

  test("in a zone without that time, or with it twice, is refused when asked to", () => {
    const wish = { ...berlin, gap: "reject", overlap: "reject" } as const;
    expect(resolveWallClock({ ...wish, localTime: "2027-03-28T02:30" })).toEqual({
      fault: expect.stringContaining("which they skip"),
    });
    expect(resolveWallClock({ ...wish, localTime: "2027-10-31T02:30" })).toEqual({
      fault: expect.stringContaining("which they show twice"),
    });
  });

  test.each(["2027-02-29T09:00", "2027-1-4T09:00", "2027-01-04", "2027-01-04T09:00Z", "noon"])(
    "%s is none",
    (text) => expect(parseLocalTime(text)).toHaveProperty("fault"),
  );

  test.each(["Europe/Atlantis", "+02:00", "", "Z", "Europe/Berlin\n"])("%j is no zone", (text) =>
    expect(parseTimezone(text)).toHaveProperty("fault"),
  );

  test.each([
    ["europe/berlin", "Europe/Berlin"],
    ["UTC", "UTC"],
  ])("the zone %s is %s", (text, value) => expect(parseTimezone(text)).toEqual({ value }));
});

type Row = [localTime: string, kind: "exact" | "gap" | "overlap", earlier: number, later: number];
type Zone = [name: string, offsets: [at: number, before: number, after: number][], rows: Row[]];

/** By Intl, which is neither Temporal nor Python. A format is made once: that takes a millisecond. */
function offsetsOf(timezone: string): (at: number) => number {
  const format = new Intl.DateTimeFormat("en-US", {
    ...{ timeZone: timezone, hourCycle: "h23", year: "numeric", month: "numeric" },
    ...{ day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" },
  } as Intl.DateTimeFormatOptions);
  return (at) => {
    const parts = new Map(format.formatToParts(at * 1_000).map(({ type, value }) => [type, value]));
    const of = (type: Intl.DateTimeFormatPartTypes) => Number(parts.get(type));
    const shown = Date.UTC(
      ...([of("year"), of("month") - 1, of("day"), of("hour"), of("minute")] as const),
      of("second"),
    );
    return shown / 1_000 - at;
  };
}

const python = Bun.which("python3");
const script = join(import.meta.dir, "../testing/fixtures/zone-transitions.py");

// Where there is no Python, Intl and the examples above are the oracle.
if (python !== null) {
  test("around every transition of 20 years in every zone it means what Python says", async () => {
    const child = Bun.spawn([python, script], { stdout: "pipe" });
    const zones = (await new Response(child.stdout).text())
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Zone);
    expect(zones.length).toBeGreaterThan(400);
    let compared = 0;
    const wrong: unknown[] = [];
    const otherEdition: string[] = [];
    for (const [timezone, offsets, rows] of zones) {
      const offsetAt = offsetsOf(timezone);
      const isSame = offsets.every(
        ([at, before, after]) => offsetAt(at - 1) === before && offsetAt(at) === after,
      );
      if (!isSame) otherEdition.push(timezone);
      for (const [localTime, kind, earlier, later] of isSame ? rows : []) {
        const first = resolve({ timezone, localTime, gap: "earlier", overlap: "first" });
        const second = resolve({ timezone, localTime, gap: "later", overlap: "second" });
        compared++;
        const found = [first.resolution, secondsOf(first), secondsOf(second)];
        const isRight = found.join() === [kind, earlier, later].join();
        if (!isRight) wrong.push({ timezone, localTime, kind, earlier, later, found });
      }
    }
    expect(wrong.slice(0, 5)).toEqual([]);
    expect(compared).toBeGreaterThan(20_000);
    // Two editions of the zone data differ in a few zones; more would be a fault of ours.
    expect(otherEdition.length).toBeLessThan(10);
  });
}

function secondsOf({ scheduledAt }: ResolvedWallClock): number {
  return scheduledAt.getTime() / 1_000;
}
