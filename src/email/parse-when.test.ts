import { describe, expect, test } from "bun:test";
import { parseWhen } from "./parse-when.ts";

/** A Tuesday. */
const now = new Date("2026-11-24T10:00:00.000Z");

test.each([
  ["2026-11-25T09:00:00Z", "2026-11-25T09:00:00.000Z"],
  ["2026-11-25T09:00:00+01:00", "2026-11-25T08:00:00.000Z"],
  ["in 1 min", "2026-11-24T10:01:00.000Z"],
  ["in 5 minutes", "2026-11-24T10:05:00.000Z"],
  ["In  2 Hours", "2026-11-24T12:00:00.000Z"],
  ["in an hour", "2026-11-24T11:00:00.000Z"],
  ["in 30s", "2026-11-24T10:00:30.000Z"],
  ["in 3 days", "2026-11-27T10:00:00.000Z"],
  ["in 1 week", "2026-12-01T10:00:00.000Z"],
  ["tomorrow at 9am", "2026-11-25T09:00:00.000Z"],
  ["tomorrow at 12am", "2026-11-25T00:00:00.000Z"],
  ["tomorrow at 12pm", "2026-11-25T12:00:00.000Z"],
  ["tomorrow at 9:30 pm", "2026-11-25T21:30:00.000Z"],
  ["today at 21:30", "2026-11-24T21:30:00.000Z"],
  ["today at 9am", "2026-11-24T09:00:00.000Z"],
  ["tomorrow at 9am Europe/Berlin", "2026-11-25T08:00:00.000Z"],
  ["tomorrow at 9am +02:00", "2026-11-25T07:00:00.000Z"],
  ["friday at 3pm America/New_York", "2026-11-27T20:00:00.000Z"],
  ["Tuesday at 11:00", "2026-11-24T11:00:00.000Z"],
  ["tuesday at 10:00", "2026-12-01T10:00:00.000Z"],
  ["monday at 0:00", "2026-11-30T00:00:00.000Z"],
])("%s", (input, instant) => {
  expect(parseWhen(input, now)).toEqual({ value: new Date(instant) });
});

test("a time that the clock skips is the one as much later, of one that comes twice the first", () => {
  const spring = new Date("2027-03-27T12:00:00Z");
  const autumn = new Date("2027-10-30T12:00:00Z");
  const words = "tomorrow at 2:30 am Europe/Berlin";
  expect(parseWhen(words, spring)).toEqual({ value: new Date("2027-03-28T01:30:00Z") });
  expect(parseWhen(words, autumn)).toEqual({ value: new Date("2027-10-31T00:30:00Z") });
});

describe("refused", () => {
  test.each([
    ...["", " ", "soon", "now", "tomorrow", "tomorrow 9am", "tomorrow at 9", "at 9am", "9am"],
    ...["in five minutes", "in 1.5 hours", "in -1 min", "in 1 month", "in 999999999 weeks", "in 5"],
    ...["next friday at 9am", "friday", "fri at 9am", "someday at 9am", "tomorrow at 13pm"],
    ...["tomorrow at 0am", "tomorrow at 24:00", "tomorrow at 9:60", "tomorrow at 9am EST"],
    ...["tomorrow at 9am Europe/Atlantis", "tomorrow at 9am please", "yesterday at 9am"],
    ...["2026-11-25", "2026-11-25T09:00:00", "25.11.2026", "x".repeat(200)],
  ])("%s", (input) => {
    expect(parseWhen(input, now)).toEqual({ fault: expect.stringMatching(/^expected .*, got /s) });
  });

  test.each([[null], [7], [["in 1 min"]], [undefined]])("%p", (input) => {
    expect(parseWhen(input, now)).toHaveProperty("fault");
  });
});
