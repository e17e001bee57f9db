import { expect, test } from "bun:test";
import fc from "fast-check";
import { dateHeader, wholeSeconds, withDate } from "./message-date.ts";

test("the Date header is that of RFC 5322, in UTC", () => {
  const header = dateHeader(new Date("2026-11-24T03:00:00.999Z"));
  expect(header).toBe("Date: Tue, 24 Nov 2026 03:00:00 +0000\r\n");
});

test("an instant of whole seconds comes back from its header", () => {
  const min = new Date("2000-01-01T00:00:00Z");
  const max = new Date("2100-01-01T00:00:00Z");
  fc.assert(
    fc.property(fc.date({ min, max, noInvalidDate: true }), (date) => {
      const header = dateHeader(wholeSeconds(date));
      expect(new Date(header.slice("Date: ".length))).toEqual(wholeSeconds(date));
    }),
  );
});

test("the Date stands in front of the message, which stays as it is", () => {
  const sent = withDate(Buffer.from("Subject: x\r\n\r\n"), new Date("2026-11-24T03:00:00Z"));
  expect(Buffer.from(sent).toString()).toBe(
    "Date: Tue, 24 Nov 2026 03:00:00 +0000\r\nSubject: x\r\n\r\n",
  );
});
