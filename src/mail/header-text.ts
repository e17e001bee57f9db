import { encodeWord } from "nodemailer/lib/mime-funcs";
import { isStructuredHeader } from "../email/header-rules.ts";

/**
 * A run of a subject without a space that is longer than this is encoded, since only spaces can be
 * folded.
 */
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

/**
 * The value of a header that a caller added. Of plain ASCII it is as it came, however long its
 * words are: they may be URLs or JSON, and who reads them does not decode encoded-words. One with a
 * grammar is never encoded; what is not ASCII in it is refused when it is written.
 */
export function callersHeaderValue(name: string, text: string): string {
  const clean = withoutControls(text);
  const isPlain = /^[\x20-\x7e]*$/.test(clean) && !looksEncoded(clean);
  return isPlain || isStructuredHeader(name) ? clean : encodeHeaderText(text);
}

/** A reader of free text would decode it. */
function looksEncoded(text: string): boolean {
  return /=\?[^?]*\?[bq]\?/i.test(text);
}

/** Line ends and other control characters, in a row, become one space. */
export function withoutControls(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return text.trim();
  return text.replace(/[\p{Cc}\u2028\u2029]+/gu, " ").trim();
}

/**
 * Runs of spaces become one. Nodemailer folds within a run, which leaves a line of nothing but
 * spaces: RFC 5322 section 3.2.2 forbids it, and some servers bounce it.
 */
export function singleSpaced(text: string): string {
  return text.replace(/ {2,}/g, " ");
}

/** True when each line is ASCII, not blank and within the length; lines are parted by CRLF. */
export function isFoldable(headers: string, lineLengthMax: number): boolean {
  return headers.split("\r\n").every((line) => line.length <= lineLengthMax && isHeaderLine(line));
}

function isHeaderLine(line: string): boolean {
  return line.trim() !== "" && /^[\t\x20-\x7e]+$/.test(line);
}

function hasLongRun(text: string): boolean {
  return text.split(" ").some((run) => run.length > runLengthMax);
}

function isMostlyAscii(text: string): boolean {
  const plain = text.match(/[\x20-\x7e]/g)?.length ?? 0;
  return plain * 2 > text.length;
}
