import { expect, test } from "bun:test";
import { latenessBoundsMs, type MinuteSum } from "../../../store/minutes.ts";
import { chartSpanOf, latenessAt, slotsOf, totalOf } from "./chart-figures.ts";

const now = new Date("2031-01-02T10:07:30.500Z");

const sum = (slot: number, more: Partial<MinuteSum> = {}): MinuteSum => ({
  ...{ slot, accepted: 0, sent: 0, partial: 0, deferred: 0, bounced: 0, uncertain: 0 },
  ...{ lateness: latenessBoundsMs.map(() => 0).concat(0), ...more },
});

test("an hour is sixty minutes up to the one that runs, a day 96 quarters; anything else an hour", () => {
  expect(chartSpanOf("hour", now)).toMatchObject({
    from: new Date("2031-01-02T09:08:00Z"),
    to: new Date("2031-01-02T10:08:00Z"),
  });
  expect(chartSpanOf("day", now)).toMatchObject({
    ...{ from: new Date("2031-01-01T10:15:00Z"), to: new Date("2031-01-02T10:15:00Z") },
    ...{ stepSeconds: 900, slots: 96 },
  });
  expect(chartSpanOf("<script>", now).name).toBe("hour");
});

test("steps without a row are there, and empty", () => {
  const slots = slotsOf([sum(59, { sent: 3 })], chartSpanOf("hour", now));
  expect([slots.length, slots[58]?.sent, slots[59]?.sent]).toEqual([60, 0, 3]);
});

test("totals add every figure, and lateness bound by bound", () => {
  const late = sum(1, { sent: 2, deferred: 1 });
  late.lateness[2] = 5;
  const total = totalOf([sum(0, { sent: 1 }), late, late]);
  expect(total).toMatchObject({ sent: 5, deferred: 2 });
  expect([total.lateness[2], total.lateness.length]).toEqual([10, latenessBoundsMs.length + 1]);
});

test("lateness lies evenly between two bounds, and no higher than the last", () => {
  expect(latenessAt(0.5, [])).toBeNull();
  expect(latenessAt(0.5, [10])).toBe(50);
  expect(latenessAt(0.99, [0, 100])).toBeCloseTo(100 + 0.99 * 150);
  // Half within 100 ms, the rest within 250.
  expect(latenessAt(0.5, [50, 50])).toBe(100);
  const above = latenessBoundsMs.map(() => 0).concat(4);
  expect(latenessAt(0.5, above)).toBe(14_400_000);
});
