import ipaddr from "ipaddr.js";

/** Ranges of one's own network, which an operator may open; everything else special stays shut. */
const privateRanges = new Set(["private", "loopback", "uniqueLocal", "carrierGradeNat"]);

/**
 * Where clouds hand credentials to whoever asks from inside, beside 169.254.169.254, which is
 * link-local and shut anyway: Azure (a public address), Alibaba, AWS and Google over IPv6. They
 * stay shut even when private addresses are open.
 */
const metadataAddresses = new Set([
  "168.63.129.16",
  "100.100.100.200",
  "fd00:ec2::254",
  "fd20:ce::254",
]);

/** All of the IPv6 internet lies in it; `::/96`, NAT64 and whatever is reserved later do not. */
const globalUnicast: [ipaddr.IPv6, number] = [ipaddr.IPv6.parse("2000::"), 3];

/** The address in one spelling, to be compared; null when it is none, or has a zone. */
export function canonicalAddress(address: string): string | null {
  if (!ipaddr.isValid(address) || address.includes("%")) return null;
  return ipaddr.parse(address).toString();
}

/**
 * The kind of an address we do not connect to, in a word or two; null when we do.
 *
 * IPv6 addresses that carry an IPv4 one (mapped, compatible, NAT64, 6to4, Teredo) are refused
 * whatever they carry: nobody publishes them, and a gateway may lead them anywhere.
 */
export function refusedRange(address: string, allowPrivate: boolean): string | null {
  const canonical = canonicalAddress(address);
  if (canonical === null) return "not an IP address";
  if (metadataAddresses.has(canonical)) return "a cloud's metadata service";
  const range = rangeOf(ipaddr.parse(canonical));
  if (range === null || (allowPrivate && privateRanges.has(range))) return null;
  return range;
}

/** True for an address of one's own network, of the kind that `allowPrivate` opens. */
export function isPrivateAddress(address: string): boolean {
  return refusedRange(address, false) !== null && refusedRange(address, true) === null;
}

/** null: an ordinary address of the internet. */
function rangeOf(address: ipaddr.IPv4 | ipaddr.IPv6): string | null {
  const range = address.range();
  if (range !== "unicast") return range;
  if (address instanceof ipaddr.IPv4 || address.match(globalUnicast)) return null;
  return "reserved";
}
