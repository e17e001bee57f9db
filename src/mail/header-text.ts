import { encodeWord } from "nodemailer/lib/mime-funcs";

/** A run without a space that is longer than this is encoded, since only spaces can be folded. */
const runLengthMax = 200;
/** RFC 2047 section 2 allows 75 for the whole encoded-word. */
const encodedWordLengthMax = 52;

/**
 * Text as a header's value: as it is when that is plain, else in encoded-words (RFC 2047). A
 * control character ends a header wherever it stands, so none survives.
 */
export function encodeHeaderText(text: string): string {
  const clean = withoutControls(text);
  const isPlain = /^[\x20-\x7e]*$/.test(clean) && !clean.includes("=?");
  if (isPlain && !hasLongRun(clean)) return clean;
  return encodeWord(clean, isMostlyAscii(clean) ? "Q" : "B", encodedWordLengthMax);
}

/** Line ends and other control characters, in a row, become one space. */
export function withoutControls(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return text.trim();
  return text.replace(/[\p{Cc}\u2028\u2029]+/gu, " ").trim();
}

/** True when each line is ASCII and within the length; lines are parted by CRLF. */
export function isFoldable(headers: string, lineLengthMax: number): boolean {
  return headers
    .split("\r\n")
    .every((line) => line.length <= lineLengthMax && /^[\t\x20-\x7e]*$/.test(line));
}

function hasLongRun(text: string): boolean {
  return text.split(" ").some((run) => run.length > runLengthMax);
}

function isMostlyAscii(text: string): boolean {
  const plain = text.match(/[\x20-\x7e]/g)?.length ?? 0;
  return plain * 2 > text.length;
}
