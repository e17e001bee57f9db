/** How deep JSON is nested and how many values it holds, as far as its brackets and commas tell. */
export interface JsonShape {
  depth: number;
  values: number;
}

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
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index];
    if (byte === QUOTE) index = endOfText(bytes, index);
    else if (byte === COMMA || byte === COLON) values++;
    else if (byte === 0x7b || byte === 0x5b) depthMax = Math.max(depthMax, ++depth);
    else if (byte === 0x7d || byte === 0x5d) depth--;
  }
  return { depth: depthMax, values };
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
