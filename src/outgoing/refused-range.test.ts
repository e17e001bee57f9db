import { describe, expect, test } from "bun:test";
import { BlockList, isIP } from "node:net";
import fc from "fast-check";
import { isPrivateAddress, refusedRange } from "./refused-range.ts";

/** IANA's special-purpose registry, written out and judged by Node, so as not to ask ipaddr.js. */
const special = [
  "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24",
  "192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24",
  "224.0.0.0/4 240.0.0.0/4 255.255.255.255/32 ::/128 ::1/128 ::/96 ::ffff:0:0/96 64:ff9b::/96",
  "64:ff9b:1::/48 100::/64 2001::/23 2001::/32 2001:2::/48 2001:db8::/32 2002::/16 3fff::/20",
  "5f00::/16 fc00::/7 fdaa::/16 fe80::/10 fec0::/10 ff00::/8",
].flatMap((line) => line.split(" "));

/** Of IPv4 alone: to Node, `::ffff:0:0/96` holds every address of IPv4. */
const list = new BlockList();
for (const subnet of special) {
  const [address = "", bits] = subnet.split("/");
  if (isIP(address) === 4) list.addSubnet(address, Number(bits), "ipv4");
}

function v4(number: number): string {
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join(".");
}

function v6(groups: number[]): string {
  return groups.map((group) => group.toString(16)).join(":");
}

/** An address within a subnet, its free bits by chance. */
function within(subnet: string) {
  const [address = "", bitsText] = subnet.split("/");
  const bits = Number(bitsText);
  const isV6 = isIP(address) === 6;
  const length = isV6 ? 128 : 32;
  const base = isV6 ? toBig(address) : BigInt(`0x${toHex(address)}`);
  return fc.bigInt({ min: 0n, max: (1n << BigInt(length - bits)) - 1n }).map((rest) => {
    const number = base | rest;
    if (!isV6) return v4(Number(number));
    return v6([7, 6, 5, 4, 3, 2, 1, 0].map((at) => Number((number >> BigInt(at * 16)) & 0xffffn)));
  });
}

function toHex(address: string): string {
  const hex = (part: string) => Number(part).toString(16).padStart(2, "0");
  return address.split(".").map(hex).join("");
}

function toBig(address: string): bigint {
  const [head = "", tail = ""] = address.split("::");
  const groups = (text: string) => (text === "" ? [] : text.split(":"));
  const zeros = Array(8 - groups(head).length - groups(tail).length).fill("0");
  const all = [...groups(head), ...zeros, ...groups(tail)];
  return all.reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
}

describe("an address we do not connect to", () => {
  test.each(special)("is any in %s", (subnet) => {
    fc.assert(
      fc.property(within(subnet), (address) => {
        expect({ address, isRefused: refusedRange(address, false) !== null }).toEqual({
          address,
          isRefused: true,
        });
      }),
    );
  });

  // From 2 on, since ::1 is the loopback address, which may be opened.
  const number = fc.integer({ min: 2, max: 0xffff_ffff });
  const carriers: [string, (hex: string) => string][] = [
    ["mapped", (hex) => `::ffff:${hex}`],
    ["compatible", (hex) => `::${hex}`],
    ["translated", (hex) => `::ffff:0:${hex}`],
    ["NAT64", (hex) => `64:ff9b::${hex}`],
    ["local NAT64", (hex) => `64:ff9b:1::${hex}`],
    ["6to4", (hex) => `2002:${hex}::1`],
    ["Teredo", (hex) => `2001:0:${hex}::1`],
  ];
  test.each(carriers)("is one that carries an IPv4 address, public or not: %s", (_, carry) => {
    fc.assert(
      fc.property(number, fc.boolean(), (value, allowPrivate) => {
        const hex = `${(value >>> 16).toString(16)}:${(value & 0xffff).toString(16)}`;
        expect(refusedRange(carry(hex), allowPrivate)).not.toBeNull();
      }),
    );
  });

  test.each([
    "169.254.169.254",
    "168.63.129.16",
    "100.100.100.200",
    "fd00:ec2::254",
    "fd00:0ec2:0:0:0:0:0:254",
    "fd20:ce::254",
    "fe80::a9fe:a9fe",
    "::ffff:169.254.169.254",
    "224.0.0.1",
    "255.255.255.255",
    "0.0.0.0",
    "::",
    "203.0.113.9",
    "fe80::1%eth0",
    "localhost",
    "",
  ])("is %j, also where private ones are open", (address) => {
    expect(refusedRange(address, true)).not.toBeNull();
  });
});

describe("an address we connect to", () => {
  test("is any other of IPv4", () => {
    const others = fc.nat(0xffff_ffff).map(v4);
    // Anycast services of two RFCs, which nobody needs, and Azure's agent.
    const few = /^(192\.(31\.196|52\.193|175\.48)\.|168\.63\.129\.16$)/;
    fc.assert(
      fc.property(
        others.filter((address) => !list.check(address, "ipv4") && !few.test(address)),
        (address) => expect(refusedRange(address, false)).toBeNull(),
      ),
      { numRuns: 1_000 },
    );
  });

  test.each(["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001::1"])("is %s", (one) => {
    expect(refusedRange(one, false)).toBeNull();
    expect(isPrivateAddress(one)).toBe(false);
  });

  test.each(["127.0.0.1", "::1", "10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1", "fdaa::3"])(
    "is %s where private ones are open, and only there",
    (address) => {
      expect(refusedRange(address, true)).toBeNull();
      expect(refusedRange(address, false)).not.toBeNull();
      expect(isPrivateAddress(address)).toBe(true);
    },
  );
});
