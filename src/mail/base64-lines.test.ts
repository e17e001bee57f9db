import { expect, test } from "bun:test";
import { encode, wrap } from "nodemailer/lib/base64";
import { base64LinesBytes, writeBase64Lines } from "./base64-lines.ts";

test("base64 in lines of 76 characters, in exactly the room foreseen", () => {
  const lengths = [
    ...Array.from({ length: 400 }, (_, i) => i),
    ...[58_367, 58_368, 58_369, 116_736, 200_000],
  ];
  for (const length of lengths) {
    const content = Buffer.from(Array.from({ length }, (_, i) => (i * 37) % 256));
    const out = Buffer.alloc(base64LinesBytes(length) + 3);
    const end = writeBase64Lines(content, out, 3);
    expect(end).toBe(out.length);
    expect(out.toString("latin1", 3)).toBe(wrap(encode(content)));
  }
});
