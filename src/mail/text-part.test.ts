import { describe, expect, test } from "bun:test";
import { textPart } from "./text-part.ts";

describe("a text part", () => {
  test("has CRLF for every kind of line end", () => {
    const { content } = textPart("a\nb\rc\r\nd\n\re\r\r\n\n");
    expect(content.toString()).toBe("a\r\nb\r\nc\r\nd\r\n\r\ne\r\n\r\n\r\n");
  });

  test("is quoted-printable while less than a quarter of its bytes is not ASCII", () => {
    expect(textPart(`é${"x".repeat(7)}`).contentTransferEncoding).toBe("quoted-printable");
    expect(textPart(`é${"x".repeat(6)}`).contentTransferEncoding).toBe("base64");
    // The line end counts as the two bytes it is written in.
    expect(textPart(`é${"x".repeat(5)}\n`).contentTransferEncoding).toBe("quoted-printable");
    expect(textPart(`\u2013${"x".repeat(9)}`).contentTransferEncoding).toBe("base64");
    expect(textPart("plain").contentTransferEncoding).toBe("quoted-printable");
    expect(textPart("").contentTransferEncoding).toBe("base64");
  });

  test("has U+FFFD for half a pair", () => {
    expect(textPart("a\ud83eb\udd80").content.toString()).toBe("a\ufffdb\ufffd");
  });
});
