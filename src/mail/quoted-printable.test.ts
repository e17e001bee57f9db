import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Encoder } from "nodemailer/lib/qp";
import { quotedPrintableBytesMax, writeQuotedPrintable } from "./quoted-printable.ts";

const numRuns = Number(process.env.FUZZ_RUNS ?? 200);

function encode(text: string): string {
  const bytes = Buffer.from(text, "utf8");
  const out = Buffer.alloc(quotedPrintableBytesMax(bytes));
  return out.toString("latin1", 0, writeQuotedPrintable(bytes, out, 0));
}

async function encodeByNodemailer(text: string): Promise<string> {
  const encoder = new Encoder();
  const chunks: Buffer[] = [];
  encoder.on("data", (chunk: Buffer) => chunks.push(Buffer.from(chunk)));
  const ended = new Promise((resolve) => encoder.on("end", resolve));
  encoder.end(Buffer.from(text, "utf8"));
  await ended;
  return Buffer.concat(chunks).toString("latin1");
}

/** As RFC 2045 section 6.7 says it, not as we or nodemailer do it. */
function decode(encoded: string): string {
  const bytes = encoded
    .replace(/[ \t]+(?=\r\n|$)/g, "")
    .replace(/=\r\n/g, "")
    .replace(/=([0-9A-F]{2})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 16)));
  return Buffer.from(bytes, "latin1").toString("utf8");
}

async function expectRight(text: string): Promise<void> {
  const encoded = encode(text);
  expect(encoded).toBe(await encodeByNodemailer(text));
  expect(decode(encoded)).toBe(Buffer.from(text, "utf8").toString("utf8"));
  expect(encoded).not.toMatch(/[^\r\n]{77}|[ \t](?:\r|$)|[^\r]\n|\r(?!\n)/);
  if (text.includes("\ufffd")) return;
  // Half a character would be read as that one.
  for (const line of encoded.split(/=?\r\n/)) expect(decode(line)).not.toContain("\ufffd");
}

describe("quoted-printable", () => {
  const samples: Record<string, string> = {
    "one character": "a",
    "an equals sign": "=",
    "a long word": "x".repeat(500),
    "a long word and its line end": `${"x".repeat(500)}\r\n`,
    "equals signs only": "=".repeat(300),
    "a space at the end of a line": "a \r\nb\t\r\n \r\n\t\r\n",
    "white space at the very end": "word   \t  ",
    "a long line, and white space at the very end": `${"word ".repeat(30)}    `,
    "white space only": "  \t ",
    "dots at the start of lines": ".\r\n..\r\n.x\r\n",
    "control characters": "\0\x01\x08\x0b\x0c\x1b\x7f",
    "line ends only": "\r\n\r\n\r\n",
    "ends of sentences": "Stop.Go!Why?Well,".repeat(20),
    "From at the start of a line": "From here on\r\nFrom there on\r\n",
    "long lines of three bytes a character": `Text ${"漢".repeat(40)}`,
  };
  for (const [name, text] of Object.entries(samples)) {
    test(name, async () => await expectRight(text));
  }

  test("is the empty text for an empty text", () => {
    expect(encode("")).toBe("");
  });

  test("leaves lines of up to 74 characters alone, and breaks longer ones", () => {
    expect(encode(`${"x".repeat(74)}\r\n`)).toBe(`${"x".repeat(74)}\r\n`);
    expect(encode(`${"x".repeat(80)}\r\n`)).toBe(`${"x".repeat(75)}=\r\n${"x".repeat(5)}\r\n`);
  });

  for (const unit of ["x", " ", "=", "é", "漢", "🎉", " é", "é.", "a🎉="]) {
    test(`is right for ${JSON.stringify(unit)} wherever the line is broken`, async () => {
      for (let length = 40; length <= 90; length++) {
        const start = "x".repeat(length);
        await expectRight(`${start}${unit}`);
        await expectRight(`${start}${unit}\r\n`);
        await expectRight(`${start}${unit.repeat(8)}tail \r\n${start}`);
        await expectRight(`${"y ".repeat(length / 2)}${unit}${start}`);
      }
    });
  }

  test("is right for texts larger than a piece, wherever it ends", async () => {
    for (const tail of ["", " ", "  word", "\r\n", "é", "x".repeat(90), " \r\n next", "\t"]) {
      for (const before of [65_520, 65_534, 65_535, 65_536]) {
        const filler = "All sorts of words, and more. ".repeat(3_000).slice(0, before);
        await expectRight(`${filler}${tail}${"and so on ".repeat(20)}`);
        await expectRight(`${filler}${tail}`);
        await expectRight(`${"z".repeat(before)}${tail}`);
        await expectRight(`${filler}\r\n${tail}${" ".repeat(65_530 + tail.length)}`);
      }
    }
  });

  test("is right for any text, and has the room it was promised", async () => {
    const fragment = fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 20 }),
      fc.string({ unit: "grapheme-ascii", maxLength: 90 }),
      fc.constantFrom("\r\n", " ", "\t", " \r\n", "=", ".", ",", "é", "漢", "🎉", "\0", "word "),
    );
    const text = fc
      .tuple(fc.array(fragment, { maxLength: 60 }), fc.constantFrom(1, 1, 1, 20, 300))
      .map(([fragments, times]) => fragments.join("").repeat(times))
      .map((value) => value.replace(/\r\n|\r|\n/g, "\r\n"));
    await fc.assert(fc.asyncProperty(text, expectRight), { numRuns });
  });

  test("says so when there is no room, rather than write half a text", () => {
    const room = Buffer.alloc(10);
    expect(() => writeQuotedPrintable(Buffer.from("longer than that"), room, 0)).toThrow(
      RangeError,
    );
  });
});
