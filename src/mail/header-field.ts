import { foldLines } from "nodemailer/lib/mime-funcs";
import { AppError } from "../errors.ts";
import { isFoldable } from "./header-text.ts";

/** RFC 5322 section 2.1.1, without the line end. */
const lineBytesMax = 998;
/** What is shorter stays on one line. */
const foldedLength = 76;

/**
 * `Name: value`, folded, without its last line end. The value is final: a character that is not
 * printable ASCII, and so a line end before all, is `invalid_content`.
 */
export function headerField(name: string, value: string): string {
  if (!/^[\x20-\x7e]*$/.test(value)) throw unwritable();
  const field = `${name}: ${value}`;
  return field.length < foldedLength ? field : foldLines(field, foldedLength);
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

function unwritable(): AppError {
  return new AppError("invalid_content", {
    publicDetail: "A header is too long to be written in an e-mail.",
  });
}
