/** RFC 2045 section 6.7: with the "=" of a soft break, without its line end. */
const lineLengthMax = 76;
/** Within so many characters of its end a line is broken after a space or a full stop. */
const marginLength = 25;
/** The text is taken in pieces of this size; where one ends can decide where a line does. */
const pieceBytes = 65_536;

const tab = 0x09;
const lf = 0x0a;
const cr = 0x0d;
const space = 0x20;
const equals = 0x3d;
const dot = 0x2e;
const capitalF = 0x46;

/** 1 for a byte that may stand for itself within a line. */
const isLiteral = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte === tab || (byte >= space && byte <= 0x7e && byte !== equals) ? 1 : 0,
);

/** The output so far: where its last line began, and where it ends. */
interface Written {
  out: Uint8Array;
  lineStart: number;
  end: number;
}

/**
 * Room that always suffices: three characters for a byte that is encoded, and three for a soft
 * break in 55; and for `encodeLineStarts` two characters and a soft break more in each line that
 * begins with a dot or an F. Only of a large text is it worth counting what will be.
 */
export function quotedPrintableBytesMax(text: Uint8Array): number {
  if (text.length <= pieceBytes) return Math.ceil(text.length * 3 * 1.12) + 64;
  const { encoded, starts } = count(text);
  return Math.ceil((text.length + encoded * 2) * 1.06) + starts * 5 + 64;
}

/**
 * Writes UTF-8 text, its lines ended by CRLF, into `out` from `at` on, and returns where it ends.
 * Lines are broken exactly where nodemailer 10.6.0 breaks them (`lib/qp`), so that a message is
 * the same bytes whichever of the two composed it; never within a character.
 */
export function writeQuotedPrintable(text: Uint8Array, out: Uint8Array, at: number): number {
  const written = { out, lineStart: at, end: at };
  const held = heldBackFrom(text);
  for (let from = 0; from < held; from += pieceBytes) {
    writePiece(text, from, Math.min(from + pieceBytes, held), written);
  }
  if (held < text.length) writePiece(text, held, text.length, written);
  // A typed array ignores what is written behind its end.
  if (written.end > out.length) throw new RangeError("no room for the quoted-printable text");
  return written.end;
}

/** Line ends too: they take the place of the white space before them, which may be encoded. */
function count(text: Uint8Array): { encoded: number; starts: number } {
  let encoded = 0;
  let starts = 0;
  for (let i = 0; i < text.length; i++) {
    const byte = text[i] as number;
    if (isLiteral[byte] !== 1) encoded++;
    else if (byte === dot || byte === capitalF) starts++;
  }
  return { encoded, starts };
}

/** White space at the very end is a piece of its own, unless there is more of it than a piece. */
function heldBackFrom(text: Uint8Array): number {
  let end = text.length;
  while (end > 0 && isBlank(text[end - 1])) end--;
  return text.length - end <= pieceBytes ? end : text.length;
}

function writePiece(text: Uint8Array, from: number, to: number, written: Written): void {
  const pieceStart = written.lineStart;
  let i = from;
  while (i < to) {
    const room = lineLengthMax + 1 - (written.end - written.lineStart);
    const stop = Math.min(to, i + room);
    const copied = copyLiterals(text, i, stop, written.out, written.end);
    written.end += copied;
    i += copied;
    breakIfFull(written);
    if (i === stop) continue;
    const byte = text[i] as number;
    if (byte !== cr && byte !== lf) writeEncoded(byte, written);
    else writeLineEnd(byte, i > from ? text[i - 1] : undefined, written);
    i++;
  }
  const isLineOver = to === text.length || text[to] === cr || text[to] === lf;
  if (isLineOver) encodeIfBlank(text[to - 1], written);
  // nodemailer leaves a text that is not longer than a line alone as a whole.
  if (written.end - pieceStart > lineLengthMax) breakLastLine(written);
}

/** The inner loop, for which the rest is arranged: about 1 ns a byte. Returns how many it copied. */
function copyLiterals(
  text: Uint8Array,
  from: number,
  to: number,
  out: Uint8Array,
  at: number,
): number {
  const shift = at - from;
  let i = from;
  for (; i < to; i++) {
    const byte = text[i] as number;
    if (isLiteral[byte] !== 1) break;
    out[i + shift] = byte;
  }
  return i - from;
}

function writeLineEnd(byte: number, before: number | undefined, written: Written): void {
  encodeIfBlank(before, written);
  written.out[written.end++] = byte;
  breakIfFull(written);
  if (byte === lf) written.lineStart = written.end;
}

/** White space at the end of a line would get lost on the way; it was written as it is. */
function encodeIfBlank(before: number | undefined, written: Written): void {
  if (before === undefined || !isBlank(before)) return;
  written.end--;
  writeEncoded(before, written);
}

function writeEncoded(byte: number, written: Written): void {
  const { out } = written;
  out[written.end++] = equals;
  out[written.end++] = hexDigit(byte >> 4);
  out[written.end++] = hexDigit(byte & 15);
  breakIfFull(written);
}

function hexDigit(value: number): number {
  return value < 10 ? 0x30 + value : 0x37 + value;
}

function isBlank(byte: number | undefined): boolean {
  return byte === space || byte === tab;
}

/** Space, tab and the marks after which a sentence goes on. */
function isBreakable(byte: number | undefined): boolean {
  return isBlank(byte) || byte === 0x2e || byte === 0x2c || byte === 0x21 || byte === 0x3f;
}

function breakIfFull(written: Written): void {
  if (written.end - written.lineStart <= lineLengthMax) return;
  writeSoftBreak(written, written.lineStart + cutOf(written.out, written.lineStart));
}

/** How much of a line with more than 76 characters stays on it, at most 75. */
function cutOf(out: Uint8Array, lineStart: number): number {
  for (let cut = lineLengthMax; cut > lineLengthMax - marginLength; cut--) {
    if (isBreakable(out[lineStart + cut - 1])) return Math.min(cut, lineLengthMax - 1);
  }
  let cut = lineLengthMax;
  if (out[lineStart + cut - 1] === equals) cut -= 1;
  else if (out[lineStart + cut - 2] === equals) cut -= 2;
  else if (out[lineStart + cut - 3] !== equals) return cut - 1;
  // The line ends in encoded bytes: the whole character they belong to goes to the next one.
  while (cut > 12 && out[lineStart + cut - 3] === equals) {
    const highDigit = out[lineStart + cut - 2] as number;
    if (highDigit < 0x38) break;
    cut -= 3;
    if (highDigit >= 0x43) break;
  }
  return cut === lineLengthMax ? cut - 3 : cut;
}

/** Moves what stands from `cut` on to a line of its own. */
function writeSoftBreak(written: Written, cut: number): void {
  const { out, end } = written;
  for (let i = end - 1; i >= cut; i--) out[i + 3] = out[i] as number;
  out[cut] = equals;
  out[cut + 1] = cr;
  out[cut + 2] = lf;
  written.end = end + 3;
  written.lineStart = cut + 3;
}

/** A piece that ends within a line has it broken as if it were too long, if it nearly is. */
function breakLastLine(written: Written): void {
  const { out, lineStart, end } = written;
  if (end - lineStart <= lineLengthMax - marginLength) return;
  for (let cut = end; cut > end - marginLength; cut--) {
    if (!isBreakable(out[cut - 1])) continue;
    if (cut < end) writeSoftBreak(written, cut);
    return;
  }
}
