import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { encodeLineStarts, lineStartsEncoded } from "./line-starts.ts";
import { quotedPrintableBytesMax, writeQuotedPrintable } from "./quoted-printable.ts";

const numRuns = Number(process.env.FUZZ_RUNS ?? 150);

function encode(text: string): string {
  const bytes = Buffer.from(text, "utf8");
  const out = Buffer.alloc(quotedPrintableBytesMax(bytes));
  const end = writeQuotedPrintable(bytes, out, 0);
  return out.toString("latin1", 0, encodeLineStarts(out, 0, end));
}

/** As RFC 2045 section 6.7 says it. */
function decode(encoded: string): string {
  const bytes = encoded
    .replace(/=\r\n/g, "")
    .replace(/=([0-9A-F]{2})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 16)));
  return Buffer.from(bytes, "latin1").toString("utf8");
}

function expectRight(text: string): void {
  const encoded = encode(text);
  expect(decode(encoded)).toBe(text);
  expect(encoded).not.toMatch(/(?:^|\n)(?:\.|From )/);
  expect(encoded).not.toMatch(/[^\r\n]{77}|[ \t](?:\r|$)|[^\r]\n|\r(?!\n)/);
  const lines = encoded.split(/=?\r\n/);
  expect(lines.filter((line) => decode(line).includes("\ufffd"))).toEqual([]);
}

describe("no line of quoted-printable text begins with a dot or with From", () => {
  test("where the text has such lines", () => {
    expect(encode(".\r\n..b\r\nFrom here\r\nFrom\r\n>From x\r\nFromage")).toBe(
      "=2E\r\n=2E.b\r\n=46rom here\r\nFrom\r\n>From x\r\nFromage",
    );
  });

  test("where a soft break makes one, and wherever the line then has to be broken again", () => {
    for (const unit of ["..", ".=", ".é", ".漢", "From ", "🎉.", ". "]) {
      for (let length = 60; length <= 80; length++) {
        expectRight(`${"x".repeat(length)}${unit.repeat(30)}y`);
        expectRight(`.${"x".repeat(length)}${unit}y\r\n${unit}z`);
        expectRight(`.${"漢".repeat(length)}${unit}y`);
      }
    }
  });

  test("in any text, within the room that is set aside for it", () => {
    const fragment = fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 20 }).map((text) => text.replace(/[\r\n]/g, "")),
      fc.constantFrom("\r\n", "\r\n.", "\r\nFrom ", ".", "..", "é", "漢", "=", "word ", "F"),
      fc.integer({ min: 60, max: 80 }).map((length) => "x".repeat(length)),
    );
    const text = fc
      .tuple(fc.array(fragment, { maxLength: 60 }), fc.constantFrom(1, 1, 1, 30))
      .map(([fragments, times]) => `${fragments.join("").repeat(times)}.`);
    fc.assert(fc.property(text, expectRight), { numRuns });
  });
});

test("of a whole message only the body is changed, and one without such lines not at all", () => {
  const headers = "Subject: x\r\n.odd: header\r\n\r\n";
  const message = Buffer.from(`${headers}.a\r\nb\r\n`);
  expect(lineStartsEncoded(message).toString()).toBe(`${headers}=2Ea\r\nb\r\n`);
  const plain = Buffer.from("Subject: x\r\n\r\na\r\nb.\r\n");
  expect(lineStartsEncoded(plain)).toBe(plain);
});

test("a text of dots alone takes a time that grows with its length only", () => {
  const text = ".\r\n".repeat(2_000_000);
  const startedAt = performance.now();
  expect(encode(text) === "=2E\r\n".repeat(2_000_000)).toBe(true);
  // 0.3 s as it is; moving all that follows with each dot took minutes, an object for each 20 s.
  expect(performance.now() - startedAt).toBeLessThan(6_000);
});
