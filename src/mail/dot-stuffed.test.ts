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
/** Mostly of what could end a message too early; with stretches that are copied as a whole. */
const anyMessage = fc.string({
  unit: fc.constantFrom(
    "\r",
    "\n",
    ".",
    "a",
    "\r\n",
    "\r\n.",
    "\xff\0",
    "é".repeat(31),
    "x".repeat(32),
  ),
  maxLength: 40,
});

/** The rule byte by byte, as RFC 5321 tells it. */
function stuffedByteByByte(message: string): string {
  let wire = "";
  let previous = "\n";
  for (const byte of message) {
    if (previous === "\r" && byte !== "\n") wire += "\n";
    if (byte === "\n" && previous !== "\r") wire += "\r";
    if (byte === "." && /[\r\n]/.test(previous)) wire += ".";
    wire += byte;
    previous = byte;
  }
  return wire + endOfData({ byte: previous.charCodeAt(0) });
}

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

  test("is what the rule makes of each byte, wherever it is cut", () => {
    fc.assert(
      fc.property(anyMessage, fc.integer({ min: 1, max: 200 }), (message, pieceBytes) => {
        expect(onTheWire(message, pieceBytes)).toBe(stuffedByteByByte(message));
      }),
      { numRuns: 3_000 },
    );
  });

  test("is left as it was where it is kept", () => {
    fc.assert(
      fc.property(anyMessage, (message) => {
        const kept = Buffer.from(message, "latin1");
        dotStuffed(kept, { ...lineStart });
        expect(kept.toString("latin1")).toBe(message);
      }),
    );
  });

  test("that needs nothing is not copied", () => {
    const message = Buffer.from("Subject: x\r\n\r\nbody\r\n");
    expect(dotStuffed(message, { ...lineStart })).toBe(message);
  });
});
