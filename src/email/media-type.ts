import type { Parsed } from "./parsed.ts";
import { quoteInput } from "./quote-input.ts";

/** RFC 2045 section 5.1; of a type and its subtype RFC 6838 section 4.2 allows fewer characters. */
const typeName = /^[a-z0-9][\w!#$&^.+-]{0,126}$/i;
const token = /^[\w!#$%&'*+.^`{|}~-]{1,255}$/;
/** Any printable ASCII but the quote and the backslash, which would escape one. */
const quoted = /^"[^"\\\P{ASCII}\p{Cc}]{0,255}"$/u;
const lengthMax = 1_000;
const parametersMax = 5;

/**
 * A media type with its parameters, as mail libraries hand it over: `application/pdf;
 * name="Invoice (1).pdf"`. White space around `;` and a `;` at the end mean nothing; the value is
 * written without them.
 */
export function parseMediaType(input: string): Parsed<string> {
  const expected = "a media type such as application/pdf or text/plain; charset=utf-8";
  const fault = { fault: `expected ${expected}, got ${quoteInput(input)}` };
  if (input.length > lengthMax) return fault;
  const [type = "", ...parameters] = splitOutsideQuotes(input).map((part) => part.trim());
  if (parameters.at(-1) === "") parameters.pop();
  const isFine = isType(type) && parameters.every(isParameter);
  if (!isFine || parameters.length > parametersMax) return fault;
  return { value: [type, ...parameters].join("; ") };
}

function splitOutsideQuotes(text: string): string[] {
  return text.match(/(?:"[^"]*"|[^;"]|")+|(?<=;)$|(?<=;)(?=;)/g) ?? [];
}

function isType(text: string): boolean {
  const [type = "", subtype = "", ...rest] = text.split("/");
  return typeName.test(type) && typeName.test(subtype) && rest.length === 0;
}

function isParameter(text: string): boolean {
  const equals = text.indexOf("=");
  if (equals < 0 || !token.test(text.slice(0, equals))) return false;
  const value = text.slice(equals + 1);
  return token.test(value) || quoted.test(value);
}
