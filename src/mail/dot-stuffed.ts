const lf = 0x0a;
const cr = 0x0d;
const dot = 0x2e;

/** What stands before the next piece of a message. */
export interface BeforePiece {
  byte: number;
}

/** A message begins a line. */
export const lineStart: BeforePiece = { byte: lf };

/**
 * A piece of a message as DATA takes it (RFC 5321 section 4.5.2): a dot that begins a line is
 * doubled. A lone CR or LF becomes a line end, as nodemailer makes it: to some servers either is
 * one, and what follows it could end the message for them alone. `before` moves on.
 */
export function dotStuffed(piece: Uint8Array, before: BeforePiece): Uint8Array {
  const insertions = findInsertions(piece, before.byte);
  before.byte = piece[piece.length - 1] ?? before.byte;
  return insertions.length === 0 ? piece : insert(piece, insertions);
}

/** What ends the message, behind its last piece. */
export function endOfData({ byte }: BeforePiece): string {
  if (byte === lf) return ".\r\n";
  return byte === cr ? "\n.\r\n" : "\r\n.\r\n";
}

/** A byte that is missing in front of the one at `at`; several may share a place. */
interface Insertion {
  at: number;
  byte: number;
}

/**
 * Line by line with the native search, in the order of the piece. Looking at every byte in
 * JavaScript took 147 to 340 µs for a mail of 10 kB with some dots, this takes 10 to 28 µs.
 */
function findInsertions(piece: Uint8Array, before: number): Insertion[] {
  const found: Insertion[] = [];
  let at = startInsertions(piece, before, found);
  let nextCr = -1;
  let nextLf = -1;
  for (;;) {
    // Each is searched for once: a piece without the one is not read again for every other.
    if (nextCr < at) nextCr = indexOrEnd(piece, cr, at);
    if (nextLf < at) nextLf = indexOrEnd(piece, lf, at);
    const lineEnd = Math.min(nextCr, nextLf);
    if (lineEnd === piece.length) return found;
    at = lineEnd + 1;
    if (lineEnd === nextLf) found.push({ at: lineEnd, byte: cr });
    else if (nextLf === at) at += 1;
    // The LF behind a CR that ends the piece may stand in the next one.
    else if (at < piece.length) found.push({ at, byte: lf });
    if (piece[at] === dot) found.push({ at, byte: dot });
  }
}

/** Ends the line that the piece before has begun to end. Answers from where the rest is read. */
function startInsertions(piece: Uint8Array, before: number, found: Insertion[]): number {
  if (before !== cr && before !== lf) return 0;
  const at = before === cr && piece[0] === lf ? 1 : 0;
  if (before === cr && at === 0 && piece.length > 0) found.push({ at, byte: lf });
  if (piece[at] === dot) found.push({ at, byte: dot });
  return at;
}

function indexOrEnd(piece: Uint8Array, byte: number, from: number): number {
  const at = piece.indexOf(byte, from);
  return at < 0 ? piece.length : at;
}

/** Below this a copy costs less byte by byte than by a call. */
const nativeCopyBytesMin = 32;

function insert(piece: Uint8Array, insertions: Insertion[]): Uint8Array {
  const out = Buffer.allocUnsafe(piece.length + insertions.length);
  let from = 0;
  let end = 0;
  for (const { at, byte } of insertions) {
    if (at - from >= nativeCopyBytesMin) {
      out.set(piece.subarray(from, at), end);
      end += at - from;
      from = at;
    }
    while (from < at) out[end++] = piece[from++] as number;
    out[end++] = byte;
  }
  out.set(piece.subarray(from), end);
  return out;
}
