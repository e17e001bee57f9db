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
  const inserts = countInserts(piece, before.byte);
  const last = piece[piece.length - 1] ?? before.byte;
  const stuffed = inserts === 0 ? piece : insert(piece, before.byte, piece.length + inserts);
  before.byte = last;
  return stuffed;
}

/** What ends the message, behind its last piece. */
export function endOfData({ byte }: BeforePiece): string {
  if (byte === lf) return ".\r\n";
  return byte === cr ? "\n.\r\n" : "\r\n.\r\n";
}

function countInserts(piece: Uint8Array, before: number): number {
  let count = 0;
  let previous = before;
  for (let i = 0; i < piece.length; i++) {
    const byte = piece[i] as number;
    if (previous === cr && byte !== lf) count += byte === dot ? 2 : 1;
    else if (byte === lf && previous !== cr) count += 1;
    else if (byte === dot && previous === lf) count += 1;
    previous = byte;
  }
  return count;
}

function insert(piece: Uint8Array, before: number, size: number): Uint8Array {
  const out = Buffer.allocUnsafe(size);
  let previous = before;
  let end = 0;
  for (const byte of piece) {
    if (previous === cr && byte !== lf) {
      out[end++] = lf;
      if (byte === dot) out[end++] = dot;
    } else if (byte === lf && previous !== cr) out[end++] = cr;
    else if (byte === dot && previous === lf) out[end++] = dot;
    out[end++] = byte;
    previous = byte;
  }
  return out;
}
