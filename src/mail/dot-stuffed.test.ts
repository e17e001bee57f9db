import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { dotStuffed, endOfData, lineStart } from "./dot-stuffed.ts";

/** As it goes over the wire, cut into pieces of this size. */
function onTheWire(message: string, pieceBytes: number): string {
  const bytes = Buffer.from(message, "latin1");
  const before = { ...lineStart };
  const pieces: string[] = [];
  for (let from = 0; from < bytes.length; from += pieceBytes) {
    const piece = dotStuffed(bytes.subarray(from, from + pieceBytes), before);
    pieces.push(Buffer.from(piece).toString("latin1"));
  }
  return pieces.join("") + endOfData(before);
}

/** As a server takes it off again (RFC 5321 section 4.5.2). */
function received(wire: string): string {
  expect(wire.endsWith("\r\n.\r\n") || wire === ".\r\n").toBe(true);
  const lines = wire.slice(0, -".\r\n".length).split("\r\n");
  return lines.map((line) => (line.startsWith(".") ? line.slice(1) : line)).join("\r\n");
}

const normal = (message: string) => message.replace(/\r\n|\r|\n/g, "\r\n");
/** Mostly of what could end a message too early. */
const anyMessage = fc.string({
  unit: fc.constantFrom("\r", "\n", ".", "a", "\r\n", "\r\n."),
  maxLength: 40,
});

describe("a message behind DATA", () => {
  test("arrives as it was, line ends made whole, and only its own dot ends it", () => {
    fc.assert(
      fc.property(anyMessage, (message) => {
        const wire = onTheWire(message, 1_000);
        expect(wire.indexOf("\r\n.\r\n")).toBe(wire === ".\r\n" ? -1 : wire.length - 5);
        expect(/\r(?!\n)|(?<!\r)\n/.test(wire)).toBe(false);
        const ended = message === "" || /[\r\n]$/.test(message) ? message : `${message}\r\n`;
        expect(received(wire)).toBe(normal(ended));
      }),
      { numRuns: 3_000 },
    );
  });

  test("is the same however it is cut", () => {
    fc.assert(
      fc.property(anyMessage, fc.integer({ min: 1, max: 7 }), (message, pieceBytes) => {
        expect(onTheWire(message, pieceBytes)).toBe(onTheWire(message, 1_000));
      }),
      { numRuns: 3_000 },
    );
  });

  test("that needs nothing is not copied", () => {
    const message = Buffer.from("Subject: x\r\n\r\nbody\r\n");
    expect(dotStuffed(message, { ...lineStart })).toBe(message);
  });
});
