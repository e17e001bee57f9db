import { domainToASCII, domainToUnicode } from "node:url";
import type { Parsed } from "./parsed.ts";
import { quoteInput } from "./quote-input.ts";

const label = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
/** Letters, digits and hyphens (RFC 1123, RFC 5890); one label is enough: `localhost`. */
const hostName = new RegExp(`^${label}(?:\\.${label})*$`);
/** URL parsers read `127.1`, `0x7f.1` and `2130706433` as IPv4 addresses. */
const endsInNumber = /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/;
/**
 * ASCII that a host name may hold, or any other character. It keeps away what URL parsers act
 * on before they look at the name: `%2e`, `/`, `?`, `:`, `[`, `@`, tab and line ends.
 */
const looksLikeName = /^(?:[a-zA-Z0-9.-]|\P{ASCII})+$/u;

/**
 * A domain as it goes on the wire: lower case, A-labels (UTS-46), at most 253 characters.
 * Anything UTS-46 would rather map than keep (full-width dots, circled letters, soft hyphens)
 * is refused, so that what a person reads is what is used. Address literals are refused.
 */
export function parseDomain(input: string): Parsed<string> {
  const fault = { fault: `expected a domain such as example.com, got ${quoteInput(input)}` };
  if (input.length > 253 || !looksLikeName.test(input) || !input.isWellFormed()) return fault;
  const domain = domainToASCII(input);
  if (domain.length > 253 || !hostName.test(domain) || endsInNumber.test(domain)) return fault;
  const plain = input.normalize("NFC").toLowerCase();
  const isKept = plain === domain || plain === domainToUnicode(domain);
  return isKept ? { value: domain } : fault;
}
