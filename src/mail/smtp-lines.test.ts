import { expect, test } from "bun:test";
import fc from "fast-check";
import { createSmtpLines } from "./smtp-lines.ts";

function repliesOf(chunks: Buffer[]): { replies: string[]; rest: string } {
  const replies: string[] = [];
  const lines = createSmtpLines((reply) => replies.push(reply));
  for (const chunk of chunks) expect(lines.feed(chunk)).toBe(true);
  return { replies, rest: lines.rest };
}

const conversation = Buffer.from(
  "220 grüß dich\r\n250-one\r\n250-SIZE 1000\r\n250 two\n\r\n354 go on\r\n550-5.1.1 no\r\n550 such",
);

test("replies come out whole, however the bytes arrive", () => {
  const expected = {
    replies: ["220 grüß dich", "250-one\n250-SIZE 1000\n250 two", "354 go on"],
    rest: "550-5.1.1 no\n550 such",
  };
  expect(repliesOf([conversation])).toEqual(expected);
  const cuts = fc.uniqueArray(fc.integer({ min: 1, max: conversation.length - 1 }), {
    maxLength: 9,
  });
  fc.assert(
    fc.property(cuts, (at) => {
      const places = [0, ...at.sort((one, other) => one - other), conversation.length];
      const chunks = places.slice(1).map((to, index) => conversation.subarray(places[index], to));
      expect(repliesOf(chunks)).toEqual(expected);
    }),
  );
});

test("bytes that are no UTF-8 are shown one by one", () => {
  expect(repliesOf([Buffer.from([0x35, 0x35, 0x30, 0x20, 0xfc, 0x0a])]).replies).toEqual(["550 ü"]);
});

test.each([
  ["a line without an end", "250 ".padEnd(70_000, "x")],
  ["a reply without an end", "250-more\r\n".repeat(8_000)],
])("%s is too much", (_, text) => {
  const lines = createSmtpLines(() => {});
  expect(lines.feed(Buffer.from(text))).toBe(false);
});
