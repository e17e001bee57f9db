/** How deep JSON is nested and how many values it holds, as far as its brackets and commas tell. */
export interface JsonShape {
  depth: number;
  values: number;
  /** False: every number is so short that a double holds it. */
  hasLongNumber: boolean;
}

/** Length of a number without an exponent; a double holds 15 significant digits of any. */
const shortLength = 15;

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;

/**
 * Looks at the bytes alone, in one pass, before `JSON.parse` is let loose: 30 MB of empty brackets
 * keep it busy for five seconds and two gigabytes. Texts, of which most bodies consist, are passed
 * over by the search for their closing quote.
 */
export function jsonShape(bytes: Uint8Array): JsonShape {
  let depth = 0;
  let depthMax = 0;
  let values = 1;
  let hasLongNumber = false;
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index];
    if (byte === QUOTE) index = endOfText(bytes, index);
    else if (byte === COMMA || byte === COLON) values++;
    else if (byte === 0x7b || byte === 0x5b) depthMax = Math.max(depthMax, ++depth);
    else if (byte === 0x7d || byte === 0x5d) depth--;
    else if (byte !== undefined && isDigit(byte)) {
      const end = endOfNumber(bytes, index);
      hasLongNumber ||= end - index > shortLength || hasExponent(bytes, index, end);
      index = end - 1;
    }
  }
  return { depth: depthMax, values, hasLongNumber };
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** Behind its digits, point, exponent and the signs of that. */
function endOfNumber(bytes: Uint8Array, start: number): number {
  let end = start;
  while (end < bytes.length && isNumeric(bytes[end] as number)) end++;
  return end;
}

function isNumeric(byte: number): boolean {
  return isDigit(byte) || byte === 0x2e || byte === 0x2b || byte === 0x2d || isExponent(byte);
}

function isExponent(byte: number | undefined): boolean {
  return byte === 0x65 || byte === 0x45;
}

function hasExponent(bytes: Uint8Array, start: number, end: number): boolean {
  for (let index = start; index < end; index++) if (isExponent(bytes[index])) return true;
  return false;
}

/** Where the text that opens at `start` closes; of one that does not, the end. */
function endOfText(bytes: Uint8Array, start: number): number {
  for (let at = bytes.indexOf(QUOTE, start + 1); at >= 0; at = bytes.indexOf(QUOTE, at + 1)) {
    let escapes = at - 1;
    while (bytes[escapes] === BACKSLASH) escapes--;
    // An even number of backslashes escape each other, and not the quote.
    if ((at - 1 - escapes) % 2 === 0) return at;
  }
  return bytes.length;
}
