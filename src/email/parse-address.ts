import type { Address } from "./email.ts";
import { invisibleIn } from "./invisible.ts";
import { parseDomain } from "./parse-domain.ts";
import { isFault, type Parsed } from "./parsed.ts";
import { quoteInput } from "./quote-input.ts";

/** dot-atom of RFC 5322: no quoting, no comments, no empty parts, ASCII only (no SMTPUTF8). */
const localPart = /^[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*$/;
const localPartLengthMax = 64;
const addressLengthMax = 254;
const nameLengthMax = 256;
/** The longest address behind the longest name, every character of it escaped; a little is spare. */
export const addressTextLengthMax = 1_000;
/** Control characters, line separators, halves of pairs, and what turns the direction of text. */
const unsafeInName = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u202a-\u202e\u2066-\u2069]/u;
/**
 * An encoded-word of RFC 2047. Mail programs decode it, in quotes too, though they should not: what
 * is refused above would come in that way. Names are written in UTF-8, and encoded by us.
 */
const encodedWord = /=\?[^?]*\?[bq]\?/i;
/** Outside quotes these mean a list, a group, a comment or another address. */
const specialInName = /[<>()[\]\\,;:@"]/;

/** Only these forms; nodemailer never parses an address, after a row of advisories on its parser. */
export const addressForms =
  'an address such as "ada@example.com", "Ada Lovelace <ada@example.com>" or { address, name }';

/**
 * One mailbox from `a@b`, `Name <a@b>`, `"Name" <a@b>` or `{ address, name }`. Groups, lists,
 * comments, quoted local parts, non-ASCII local parts and address literals are refused.
 * What it returns, written by `showMailbox`, parses to the same again.
 */
export function parseAddress(input: unknown): Parsed<Address> {
  if (typeof input === "string") return parseText(input);
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    return { fault: `expected ${addressForms}, got ${quoteInput(input)}` };
  }
  const { address, name = null } = input as { address?: unknown; name?: unknown };
  if (typeof address !== "string" || address.length > addressTextLengthMax) {
    return { fault: `expected an address in the field "address", got ${quoteInput(address)}` };
  }
  if (name !== null && (typeof name !== "string" || name.length > addressTextLengthMax)) {
    const expected = `a text of at most ${nameLengthMax} characters or null`;
    return { fault: `expected ${expected} in the field "name", got ${quoteInput(name)}` };
  }
  return withName(name ?? "", address);
}

function parseText(input: string): Parsed<Address> {
  // Before any other look: what follows is read more than once.
  if (input.length > addressTextLengthMax) {
    const expected = `an address of at most ${addressTextLengthMax} characters, name included`;
    return { fault: `expected ${expected}, got ${quoteInput(input)}` };
  }
  const text = trimSpaces(input);
  if (!text.endsWith(">")) return withName("", text);
  const open = text.lastIndexOf("<");
  if (open < 0) return { fault: `expected ${addressForms}, got ${quoteInput(input)}` };
  const name = readPhrase(trimSpaces(text.slice(0, open)));
  return isFault(name) ? name : withName(name.value, text.slice(open + 1, -1));
}

/** The words before the angle bracket. */
function readPhrase(phrase: string): Parsed<string> {
  if (phrase.length >= 2 && phrase.startsWith('"') && phrase.endsWith('"')) {
    const inner = phrase.slice(1, -1);
    if (/^(?:[^"\\]|\\["\\])*$/.test(inner)) return { value: inner.replace(/\\(["\\])/g, "$1") };
  } else if (!specialInName.test(phrase)) {
    return { value: phrase };
  }
  return {
    fault: `expected one name before "<", in double quotes when it holds special characters, got ${quoteInput(phrase)}`,
  };
}

function withName(name: string, address: string): Parsed<Address> {
  const parsed = parseBareAddress(address);
  if (isFault(parsed)) return parsed;
  const trimmed = name.trim();
  if (trimmed.length > nameLengthMax || unsafeInName.test(trimmed)) {
    return {
      fault: `expected a name of at most ${nameLengthMax} characters without control characters, got ${quoteInput(trimmed)}`,
    };
  }
  if (encodedWord.test(trimmed)) {
    return { fault: `expected a name in UTF-8, not encoded, got ${quoteInput(trimmed)}` };
  }
  return { value: { address: parsed.value, name: trimmed === "" ? null : trimmed } };
}

function parseBareAddress(input: string): Parsed<string> {
  const invisible = invisibleIn(input);
  if (invisible !== null) {
    return {
      fault: `expected an address without invisible characters, got ${invisible} in ${quoteInput(input)}`,
    };
  }
  const at = input.lastIndexOf("@");
  const local = input.slice(0, Math.max(at, 0));
  if (at < 1 || !localPart.test(local)) {
    return { fault: localFault(input, local) };
  }
  if (local.length > localPartLengthMax) {
    return {
      fault: `expected at most ${localPartLengthMax} characters before the @, got ${local.length} in ${quoteInput(input)}`,
    };
  }
  const domain = parseDomain(input.slice(at + 1));
  if (isFault(domain)) return domain;
  const address = `${local}@${domain.value}`;
  if (address.length <= addressLengthMax) return { value: address };
  return {
    fault: `expected an address of at most ${addressLengthMax} characters, got ${address.length} in ${quoteInput(input)}`,
  };
}

function localFault(input: string, local: string): string {
  if (/\P{ASCII}/u.test(local)) {
    return `expected ASCII before the @ (internationalised local parts need SMTPUTF8, which is not supported), got ${quoteInput(input)}`;
  }
  return `expected ${addressForms}, got ${quoteInput(input)}`;
}

/** Not by `/ +$/`: on a run of spaces within the text that takes the square of its length. */
function trimSpaces(text: string): string {
  let [from, to] = [0, text.length];
  while (from < to && text[from] === " ") from++;
  while (to > from && text[to - 1] === " ") to--;
  return text.slice(from, to);
}
