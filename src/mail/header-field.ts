import { AppError } from "../errors.ts";
import { isFoldable } from "./header-text.ts";

/** RFC 5322 section 2.1.1, without the line end. */
const lineBytesMax = 998;
/** Length of a line that has more than one word; RFC 5322 section 2.1.1 recommends 78 at most. */
const foldedLengthMax = 75;

/**
 * `Name: value`, folded, without its last line end. The value is final: a character that is not
 * printable ASCII, and so a line end before all, is `invalid_content`.
 */
export function headerField(name: string, value: string): string {
  if (!/^[\x20-\x7e]*$/.test(value)) throw notAscii(name);
  return fold(`${name}: ${value}`);
}

/**
 * Folds where nodemailer 10.6.0 does, but never within a run of spaces: it would leave a line of
 * nothing but spaces, which RFC 5322 section 3.2.2 forbids and some servers bounce.
 */
function fold(field: string): string {
  if (field.length <= foldedLengthMax) return field;
  const lines = [""];
  // Each word with the spaces in front of it.
  for (const word of field.trimEnd().match(/ *[^ ]+/g) ?? []) {
    const line = lines.at(-1) ?? "";
    const isFit = line === "" || line.length + word.length <= foldedLengthMax;
    if (isFit) lines[lines.length - 1] = line + word;
    else lines.push(word);
  }
  return lines.join("\r\n");
}

/** The case nodemailer writes a name in: `List-ID`, `X-Campaign`. */
export function headerCase(name: string): string {
  return name
    .toLowerCase()
    .replace(
      /^X-SMTPAPI$|^(MIME|DKIM|ARC|BIMI)\b|^OTP(?=-Token$)|^[a-z]|-(SPF|FBL|ID|MD5)$|-[a-z]/gi,
      (part) => part.toUpperCase(),
    );
}

/** Throws `invalid_content` on a name that is ours to write, or none. */
export function assertHeaderName(name: string): void {
  const isReserved =
    /^(bcc|date|from|sender|to|cc|subject|reply-to|message-id|mime-version|content-.*)$/i;
  if (/^[A-Za-z0-9-]{1,76}$/.test(name) && !isReserved.test(name)) return;
  throw new AppError("invalid_content", { publicDetail: "A header of that name cannot be set." });
}

/** The last line of defence; the headers are the only part that is not encoded throughout. */
export function assertHeaderBlock(headers: string): void {
  if (headers === "" || !isFoldable(headers, lineBytesMax)) throw unwritable();
}

function notAscii(name: string): AppError {
  return new AppError("invalid_content", {
    publicDetail: `The header ${name} holds characters other than printable ASCII.`,
  });
}

function unwritable(): AppError {
  return new AppError("invalid_content", {
    publicDetail: "A header is too long to be written in an e-mail.",
  });
}
