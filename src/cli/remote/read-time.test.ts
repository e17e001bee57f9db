import { describe, expect, test } from "bun:test";
import { readTime } from "./read-time.ts";

const dst = { gap: "reject", overlap: "reject" } as const;

test.each([
  ["2027-01-04 09:00", "Europe/Berlin", "2027-01-04T09:00"],
  ["2027-07-04T09:00:30", "Asia/Kathmandu", "2027-07-04T09:00:30"],
])("%s in %s is the local time %s", (text, timezone, local_time) => {
  expect(readTime(text, timezone)).toEqual({ value: { local_time, timezone, dst } });
});

test("a time with an offset is an instant", () => {
  const value = { scheduled_at: "2027-01-04T08:00:00.000Z" };
  expect(readTime("2027-01-04T09:00:00+01:00", null)).toEqual({ value });
});

describe("refused", () => {
  test.each([
    ["2027-01-04 09:00", null, "name the zone"],
    [
      "2027-03-28 02:30",
      "Europe/Berlin",
      "give it with an offset: 2027-03-28T00:30:00Z or 2027-03-28T01:30:00Z",
    ],
    ["2027-10-31 02:30", "Europe/Berlin", "2027-10-31T00:30:00Z or 2027-10-31T01:30:00Z"],
    ["2027-02-30 09:00", "Europe/Berlin", "a day of the calendar"],
    ["2027-01-04 09:00", "Europe/Nowhere", "a zone such as Europe/Berlin"],
    ["2027-01-04T09:00:00Z", "Europe/Berlin", "a time such as 2027-01-04 09:00"],
    ["tomorrow", "Europe/Berlin", "a time such as"],
  ])("%s in %s", (text, zone, words) => {
    expect(readTime(text, zone)).toEqual({ fault: expect.stringContaining(words) });
  });
});
