import { describe, expect, test } from "bun:test";
import { proxyTrust } from "../../config-parsers.ts";
import { clientAddress, isBehindProxy, type ProxyTrust } from "./client-address.ts";

const trustOf = (text: string): ProxyTrust => {
  const trust = proxyTrust().parse(text);
  if (trust === undefined) throw new Error(`not taken: ${text}`);
  return trust;
};

/** TRUST_PROXY, who connects, X-Forwarded-For, Fly-Client-IP, and what comes out. */
const cases: [string, string | null, string | undefined, string | undefined, string | null][] = [
  // Nobody is believed.
  ["false", "203.0.113.9", "192.0.2.1", "192.0.2.2", "203.0.113.9"],
  ["0", "203.0.113.9", "192.0.2.1", undefined, "203.0.113.9"],
  // One proxy: the right-most entry is its own, all others may be made up.
  ["true", "10.0.0.1", "192.0.2.1", undefined, "192.0.2.1"],
  ["true", "10.0.0.1", "6.6.6.6, 127.0.0.1, 192.0.2.1", "6.6.6.6", "192.0.2.1"],
  ["true", "10.0.0.1", undefined, "6.6.6.6", "10.0.0.1"],
  ["true", "10.0.0.1", "", undefined, "10.0.0.1"],
  ["true", "10.0.0.1", "6.6.6.6, made-up", undefined, "10.0.0.1"],
  ["true", "10.0.0.1", "6.6.6.6, 127.1", undefined, "10.0.0.1"],
  ["true", "10.0.0.1", "192.0.2.1:4711", undefined, "192.0.2.1"],
  ["true", "10.0.0.1", "[2001:db8::1]:4711", undefined, "2001:db8::1"],
  ["true", "10.0.0.1", "::ffff:192.0.2.1", undefined, "192.0.2.1"],
  ["true", null, "192.0.2.1", undefined, null],
  // Two proxies.
  ["2", "10.0.0.1", "6.6.6.6, 192.0.2.1, 10.0.0.2", undefined, "192.0.2.1"],
  ["2", "10.0.0.1", "192.0.2.1", undefined, "192.0.2.1"],
  // By address: from the right, up to the first that is no proxy of ours.
  ["10.0.0.0/8", "10.0.0.1", "6.6.6.6, 192.0.2.1, 10.0.0.2", undefined, "192.0.2.1"],
  ["10.0.0.0/8", "::ffff:10.0.0.1", "192.0.2.1", undefined, "192.0.2.1"],
  ["10.0.0.0/8", "203.0.113.9", "10.0.0.1, 192.0.2.1", undefined, "203.0.113.9"],
  ["10.0.0.0/8,fd00::/8", "fd00::1", "6.6.6.6, 192.0.2.1, 10.9.9.9", undefined, "192.0.2.1"],
  ["10.0.0.1", "10.0.0.2", "192.0.2.1", undefined, "10.0.0.2"],
  ["10.0.0.0/8", "10.0.0.1", "10.0.0.2, 10.0.0.3", undefined, "10.0.0.2"],
  // Fly.io sets this header whatever the client sends; its X-Forwarded-For ends in its own.
  ["fly", "172.16.0.1", "6.6.6.6, 66.241.125.1", "192.0.2.1", "192.0.2.1"],
  ["fly", "172.16.0.1", "6.6.6.6", undefined, "172.16.0.1"],
  // Another machine of the organisation, and whoever reaches the port past the proxy.
  ["fly", "fdaa:0:1::3", "6.6.6.6", "192.0.2.1", "fdaa:0:1::3"],
  ["fly", "203.0.113.9", "6.6.6.6", "192.0.2.1", "203.0.113.9"],
  ["fly", "::ffff:172.19.0.1", "6.6.6.6", "192.0.2.1", "192.0.2.1"],
];

describe("the address of a caller", () => {
  for (const [text, peer, forwardedFor, fly, expected] of cases) {
    test(`${text}: ${peer} with ${forwardedFor} and ${fly} is ${expected}`, () => {
      const headers: Record<string, string | undefined> = {
        "x-forwarded-for": forwardedFor,
        "fly-client-ip": fly,
      };
      const seen = { peer, header: (name: string) => headers[name] };
      expect(clientAddress(seen, trustOf(text))).toBe(expected);
    });
  }
});

test("only a proxy that is trusted may say by which scheme the browser came", () => {
  expect(isBehindProxy("10.0.0.1", trustOf("false"))).toBe(false);
  expect(isBehindProxy("10.0.0.1", trustOf("true"))).toBe(true);
  expect(isBehindProxy("172.16.0.1", trustOf("fly"))).toBe(true);
  expect(isBehindProxy("fdaa:0:1::3", trustOf("fly"))).toBe(false);
  expect(isBehindProxy("10.0.0.1", trustOf("10.0.0.0/8"))).toBe(true);
  expect(isBehindProxy("192.0.2.1", trustOf("10.0.0.0/8"))).toBe(false);
  expect(isBehindProxy(null, trustOf("10.0.0.0/8"))).toBe(false);
});

test("TRUST_PROXY takes a flag, a count, addresses or fly, and nothing else", () => {
  const { parse } = proxyTrust();
  expect(parse("TRUE")).toEqual({ kind: "hops", hops: 1 });
  expect(parse("3")).toEqual({ kind: "hops", hops: 3 });
  expect(parse("192.0.2.1, fd00::/8")).toEqual({
    kind: "ranges",
    ranges: ["192.0.2.1/32", "fd00::/8"],
  });
  for (const bad of [
    "maybe",
    "-1",
    "11",
    "1.5",
    "10.0.0.0/33",
    "10.0.0/8",
    "proxy.example.com",
    "all",
    "*",
  ]) {
    expect(parse(bad)).toBeUndefined();
  }
});
