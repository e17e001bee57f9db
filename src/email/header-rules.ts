import { quoteInput } from "./quote-input.ts";

/**
 * Headers a caller may add. Everything that names people, places or the structure of the message
 * is ours: a `Bcc` here would add a recipient, a `Content-Type` would change what is read.
 */
const allowedNames =
  /^(?:x-[!-9;-~]+|list-[!-9;-~]+|references|in-reply-to|auto-submitted|precedence|importance)$/i;
const token = /^[\w!#$%&'*+.^`|~-]+$/;
const allowed = "X-*, List-*, References, In-Reply-To, Auto-Submitted, Precedence, Importance";

const nameLengthMax = 76;
/** RFC 5322 section 2.1.1: no line may be longer. */
const valueLengthMax = 998;
export const headersMax = 50;

/** A sentence on what is wrong with the name of a header; null: nothing. */
export function headerNameFault(name: string): string | null {
  if (name.length > nameLengthMax || !token.test(name)) {
    return `expected a header name of letters, digits and hyphens, got ${quoteInput(name)}`;
  }
  return allowedNames.test(name)
    ? null
    : `expected one of the headers ${allowed}, got ${quoteInput(name)}`;
}

/** Ids of messages, which are ASCII: an encoded-word in one would be an id nobody has. */
const ids = /^[\x21-\x7e]+(?: +[\x21-\x7e]+)*$/;

/** A sentence on what is wrong with the value of a header; null: nothing. */
export function headerValueFault(value: unknown, name = ""): string | null {
  if (/^(?:references|in-reply-to)$/i.test(name) && typeof value === "string") {
    const isIds = ids.test(value.trim()) && !value.includes("=?");
    if (!isIds) return `expected ids such as <a@example.com>, got ${quoteInput(value)}`;
  }
  const isFine =
    typeof value === "string" &&
    value.trim() !== "" &&
    value.length <= valueLengthMax &&
    value.isWellFormed() &&
    !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(value);
  if (isFine) return null;
  const came = typeof value === "string" && value.length > valueLengthMax ? "longer text" : null;
  return `expected a text of 1 to ${valueLengthMax} characters on one line, got ${came ?? quoteInput(value)}`;
}

/** Names that stand there before in another letter case: to a mail program they are one header. */
export function repeatedHeaders(names: readonly string[]): string[] {
  const seen = new Set<string>();
  return names.filter((name) => {
    const isRepeated = seen.has(name.toLowerCase());
    seen.add(name.toLowerCase());
    return isRepeated;
  });
}
