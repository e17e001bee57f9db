import ipaddr from "ipaddr.js";
import type { Config } from "../../config.ts";

export type ProxyTrust = Config["http"]["trustProxy"];

/**
 * Fly's proxy reaches a machine over the private IPv4 network between them. Other machines of the
 * organisation come over 6PN (fdaa::/16), and could write any header.
 */
const flyProxies = ["172.16.0.0/12"];

export interface SeenFrom {
  /** Of the connection; null: not known. */
  peer: string | null;
  header: (name: string) => string | undefined;
}

/**
 * Where a request comes from. A client can write any header: of `X-Forwarded-For` only
 * what our own proxies have appended counts, from the right, and nothing without TRUST_PROXY.
 */
export function clientAddress({ peer, header }: SeenFrom, trust: ProxyTrust): string | null {
  if (trust.kind === "none" || peer === null) return peer;
  if (trust.kind === "fly") {
    return isWithin(flyProxies, peer) ? (normal(header("fly-client-ip")) ?? peer) : peer;
  }
  // Node joins several headers of this name with commas, as if they were one.
  const entries = (header("x-forwarded-for") ?? "").split(",");
  let address = peer;
  for (let passed = 0; isTrusted(trust, address, passed); passed++) {
    const next = normal(entries.pop());
    // No entry, or one that is no address: what we know for sure is who sent it.
    if (next === null) break;
    address = next;
  }
  return address;
}

/** Whether the one who connected is a proxy of ours, whose word on the scheme counts. */
export function isBehindProxy(peer: string | null, trust: ProxyTrust): boolean {
  if (trust.kind === "none") return false;
  if (trust.kind === "fly") return peer !== null && isWithin(flyProxies, peer);
  return trust.kind !== "ranges" || (peer !== null && isWithin(trust.ranges, peer));
}

type ChainTrust = Exclude<ProxyTrust, { kind: "none" | "fly" }>;

function isTrusted(trust: ChainTrust, address: string, passed: number): boolean {
  return trust.kind === "hops" ? passed < trust.hops : isWithin(trust.ranges, address);
}

function isWithin(ranges: readonly string[], address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  return ranges.some((range) => {
    const [network, bits] = ipaddr.parseCIDR(range);
    return network.kind() === parsed.kind() && parsed.match(network, bits);
  });
}

/** IPv6 in full with an IPv4 tail, a zone, brackets and a port, and some spaces around it. */
const addressLengthMax = 100;

/** An address as proxies write it, with or without a port; null: it is none. */
function normal(text: string | undefined): string | null {
  if (text === undefined || text.length > addressLengthMax) return null;
  const written = text.trim();
  const bare =
    /^\[([^\]]+)\](:\d+)?$/.exec(written)?.[1] ?? written.replace(/^([\d.]+):\d+$/, "$1");
  // Shorter forms such as `127.1` are valid to the library, and are not what proxies write.
  const isWhole = bare.includes(":") || /^\d+\.\d+\.\d+\.\d+$/.test(bare);
  return isWhole && ipaddr.isValid(bare) ? ipaddr.process(bare).toString() : null;
}
