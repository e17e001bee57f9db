/** The longest line RFC 2045 section 6.8 allows. */
const lineLengthMax = 76;
/** What makes such a line. */
const bytesPerLine = 57;
/** Encoded at once: small against the strings in between that a large text would take. */
const bytesPerBlock = bytesPerLine * 1_024;

/** Exactly the room that is needed: no line end behind the last line. */
export function base64LinesBytes(contentBytes: number): number {
  const characters = Math.ceil(contentBytes / 3) * 4;
  return characters + Math.max(0, Math.ceil(characters / lineLengthMax) - 1) * 2;
}

/** Writes the content into `out` from `at` on, and returns where it ends. */
export function writeBase64Lines(content: Buffer, out: Buffer, at: number): number {
  let end = at;
  for (let from = 0; from < content.length; from += bytesPerBlock) {
    const block = linesOf(content.toString("base64", from, from + bytesPerBlock));
    end += out.write(from === 0 ? block : `\r\n${block}`, end, "latin1");
  }
  return end;
}

function linesOf(encoded: string): string {
  let lines = encoded.slice(0, lineLengthMax);
  for (let from = lineLengthMax; from < encoded.length; from += lineLengthMax) {
    lines += `\r\n${encoded.slice(from, from + lineLengthMax)}`;
  }
  return lines;
}
