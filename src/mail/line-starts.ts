/** RFC 2045 section 6.7: with the "=" of a soft break, without its line end. */
const lineLengthMax = 76;

const dot = 0x2e;
const lf = 0x0a;
const cr = 0x0d;
const equals = 0x3d;
const capitalF = 0x46;
const from = Buffer.from("From ");
const softBreak = Buffer.from("=\r\n");
const hexDigits = "0123456789ABCDEF";

/**
 * Encodes a `.` and the F of a `From ` at the start of a line of quoted-printable text, in place
 * from `at` to `end`, and returns where it ends then: a relay that doubles or loses dots, or a
 * mailbox that writes `>From `, has nothing to spoil (RFC 2049 section 3).
 */
export function encodeLineStarts(out: Uint8Array, at: number, end: number): number {
  const first = nextRisk(out, at, end);
  if (first < 0) return end;
  // Copied, so that each line is moved once and not with each one before it.
  const text = Uint8Array.from(out.subarray(first, end));
  return write(text, out, first);
}

/**
 * A whole message with the same done to its body. Neither base64 nor the headers of a part have
 * such lines, so that nothing but quoted-printable text is changed.
 */
export function lineStartsEncoded(message: Buffer): Buffer {
  const body = message.indexOf("\r\n\r\n") + 2;
  const first = nextRisk(message, body, message.length);
  if (first < 0) return message;
  const text = message.subarray(first);
  const out = Buffer.allocUnsafe(message.length + risksIn(text) * 5);
  out.set(message.subarray(0, first));
  return out.subarray(0, write(text, out, first));
}

/** At most so many lines are encoded: each `.` and each F may come to stand at a line's start. */
function risksIn(text: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < text.length; i++) if (text[i] === dot || text[i] === capitalF) count++;
  return count;
}

/** Where the next line from `start` on begins with one; -1: none does. `start` begins a line. */
function nextRisk(bytes: Uint8Array, start: number, end: number): number {
  let line = start;
  while (line < end) {
    if (isRisk(bytes, line, end)) return line;
    const next = bytes.indexOf(lf, line);
    if (next < 0 || next >= end) return -1;
    line = next + 1;
  }
  return -1;
}

function isRisk(bytes: Uint8Array, line: number, end: number): boolean {
  if (bytes[line] === dot) return true;
  if (bytes[line] !== capitalF || line + from.length > end) return false;
  for (let i = 1; i < from.length; i++) if (bytes[line + i] !== from[i]) return false;
  return true;
}

/**
 * Writes the text, which begins a line, from `at` on. Byte by byte and without an object for each
 * line: a text may have millions of them.
 */
function write(text: Uint8Array, out: Uint8Array, at: number): number {
  let end = at;
  let i = 0;
  let isLineStart = true;
  while (i < text.length) {
    if (isLineStart && isRisk(text, i, text.length)) {
      end = writeEncoded(text[i++] as number, out, end);
      const cut = cutOf(text, i);
      isLineStart = cut > 0;
      if (cut === 0) continue;
      // What the line now has too much becomes a line of its own.
      for (; i < cut; i++) out[end++] = text[i] as number;
      for (const byte of softBreak) out[end++] = byte;
      continue;
    }
    const byte = text[i++] as number;
    out[end++] = byte;
    isLineStart = byte === lf;
  }
  if (end > out.length) throw new RangeError("no room for the quoted-printable text");
  return end;
}

function writeEncoded(byte: number, out: Uint8Array, at: number): number {
  out[at] = equals;
  out[at + 1] = hexDigits.charCodeAt(byte >> 4);
  out[at + 2] = hexDigits.charCodeAt(byte & 15);
  return at + 3;
}

/**
 * Where the rest of a line, which begins at `start` behind an encoded character, has to be cut: not
 * within an encoded byte or a character. 0: it fits.
 */
function cutOf(text: Uint8Array, start: number): number {
  const room = lineLengthMax - 3;
  let length = 0;
  while (length <= room && start + length < text.length && !isLineEnd(text[start + length])) {
    length++;
  }
  if (length <= room) return 0;
  let cut = start + room - 1;
  if (text[cut - 1] === equals) cut -= 1;
  else if (text[cut - 2] === equals) cut -= 2;
  // The bytes of a character but its first begin with 8, 9, A or B.
  while (text[cut] === equals && isContinuation(text[cut + 1])) cut -= 3;
  return cut;
}

function isLineEnd(byte: number | undefined): boolean {
  return byte === cr || byte === lf;
}

function isContinuation(digit: number | undefined): boolean {
  return digit === 0x38 || digit === 0x39 || digit === 0x41 || digit === 0x42;
}
