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

/**
 * Allowed headers whose value has a grammar, so that an encoded-word in it would not be read
 * (RFC 2047 section 5): the URL of a `List-Unsubscribe` would be lost. All others are free text.
 */
export function isStructuredHeader(name: string): boolean {
  return !/^x-/i.test(name);
}

/** Many mail programs decode it all the same, and whatever it hides would be the value. */
const encodedWord = /=\?[^?]*\?[bq]\?/i;

/** Ids of messages, which are ASCII: an encoded-word in one would be an id nobody has. */
const ids = /^[\x21-\x7e]+(?: +[\x21-\x7e]+)*$/;

/** A sentence on what is wrong with the value of a header; null: nothing. */
export function headerValueFault(value: unknown, name = ""): string | null {
  if (typeof value !== "string" || value.length > valueLengthMax) {
    const came = typeof value === "string" ? "longer text" : quoteInput(value);
    return `expected a text of 1 to ${valueLengthMax} characters on one line, got ${came}`;
  }
  if (/^(?:references|in-reply-to)$/i.test(name)) {
    const isIds = ids.test(value.trim()) && !value.includes("=?");
    if (!isIds) return `expected ids such as <a@example.com>, got ${quoteInput(value)}`;
  }
  const isFine =
    value.trim() !== "" && value.isWellFormed() && !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(value);
  if (isFine) return grammarFault(name, value) ?? lineFault(value);
  return `expected a text of 1 to ${valueLengthMax} characters on one line, got ${quoteInput(value)}`;
}

/** An `X-*` may be JSON for a provider, which no provider decodes before it is parsed. */
function grammarFault(name: string, value: string): string | null {
  const isAscii = !/\P{ASCII}/u.test(value);
  if (name !== "" && isStructuredHeader(name)) {
    if (isAscii && !encodedWord.test(value)) return null;
    return `expected ASCII without encoded-words, which RFC 2047 section 5 does not allow in ${name} (write a URL percent-encoded), got ${quoteInput(value)}`;
  }
  return !isAscii && isJson(value)
    ? `expected JSON in ASCII, other characters written as \\u00e9, got ${quoteInput(value)}`
    : null;
}

function isJson(value: string): boolean {
  if (!/^\s*[{[]/.test(value)) return false;
  try {
    JSON.parse(value);
    return true;
  } catch {
    // Brackets alone do not make it JSON.
    return false;
  }
}

/** A line is folded at spaces only, and one that is folded begins with a space. */
function lineFault(value: string): string | null {
  const longest = Math.max(
    ...value
      .trim()
      .split(/(?<! )(?= )/)
      .map((run) => run.trimStart().length),
  );
  if (longest < valueLengthMax) return null;
  return `expected at most ${valueLengthMax - 1} characters without a space, got ${longest}`;
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
