import type { BodyPlace } from "../email/email-details.ts";

const equals = 0x3d;
const cr = 0x0d;

/** The text that stands at a place of a message we composed, as it was asked for. */
export function readBody(message: Uint8Array, place: BodyPlace): string {
  const { at, bytes, encoding, lineEnd } = place;
  const written = Buffer.from(message.buffer, message.byteOffset + at, bytes);
  const content =
    encoding === "base64"
      ? Buffer.from(written.toString("latin1"), "base64")
      : decodeQuotedPrintable(written);
  const text = content.toString("utf8");
  return lineEnd === "\n" ? text.replaceAll("\r\n", "\n") : text;
}

/** Of what `writeQuotedPrintable` wrote, and no other: nothing in it is malformed. */
function decodeQuotedPrintable(written: Buffer): Buffer {
  const content = Buffer.allocUnsafe(written.length);
  let end = 0;
  let from = 0;
  for (let i = written.indexOf(equals); i >= 0; i = written.indexOf(equals, from)) {
    end += written.copy(content, end, from, i);
    const next = written[i + 1] as number;
    // A soft line break stands for nothing.
    if (next !== cr) content[end++] = digitValue(next) * 16 + digitValue(written[i + 2] as number);
    from = i + 3;
  }
  end += written.copy(content, end, from);
  return content.subarray(0, end);
}

/** The value of a hexadecimal digit, upper case. */
function digitValue(digit: number): number {
  return digit <= 0x39 ? digit - 0x30 : digit - 0x37;
}
