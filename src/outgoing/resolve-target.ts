import { lookup as systemLookup } from "node:dns/promises";
import { OutgoingError } from "./outgoing-error.ts";
import type { Target } from "./parse-target.ts";
import { canonicalAddress, isPrivateAddress, refusedRange } from "./refused-range.ts";

/** All addresses of a name; rejects when there is none. */
export type Lookup = (host: string) => Promise<string[]>;

export async function lookupAddresses(host: string): Promise<string[]> {
  const found = await systemLookup(host, { all: true, verbatim: true });
  return found.map(({ address }) => address);
}

/**
 * The addresses to connect to: asked for once, so that what was judged is what is reached. One
 * bad address among them refuses the name as a whole: nobody has both for an honest reason.
 */
export async function resolveTarget(
  { host, isLiteral, isHttps }: Target,
  { allowPrivate, lookup }: { allowPrivate: boolean; lookup: Lookup },
): Promise<string[]> {
  const found = isLiteral ? [host] : await askFor(host, lookup);
  for (const address of found) {
    const range = refusedRange(address, allowPrivate);
    if (range !== null) throw refused(`${host} leads to an address we do not connect to: ${range}`);
    if (!isHttps && !isPrivateAddress(address)) {
      throw refused(`${host} is on the internet: expected a URL that starts with https://`);
    }
  }
  return found.map((address) => canonicalAddress(address) ?? address);
}

async function askFor(host: string, lookup: Lookup): Promise<string[]> {
  const found = await lookup(host).catch((cause: unknown) => {
    throw new OutgoingError("not_resolved", `The name ${host} has no address.`, cause);
  });
  if (found.length > 0) return found;
  throw new OutgoingError("not_resolved", `The name ${host} has no address.`);
}

function refused(sentence: string): OutgoingError {
  return new OutgoingError("address_refused", `${sentence}.`);
}
