import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { OutgoingError } from "./outgoing-error.ts";
import { parseTarget } from "./parse-target.ts";
import { refusedRange } from "./refused-range.ts";

/** What a URL comes to: refused at once, or the address that is then refused. */
function verdict(url: string): string {
  try {
    const { host, isLiteral } = parseTarget(url, false);
    const range = isLiteral ? refusedRange(host, false) : null;
    return range === null ? host : "refused";
  } catch (error) {
    if (!(error instanceof OutgoingError)) throw error;
    return "refused";
  }
}

describe("refused", () => {
  test.each([
    "http://example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "data:text/plain,x",
    "gopher://example.com/",
    "https://",
    "https:///",
    "//example.com",
    "example.com",
    "",
    "https://user@example.com/",
    "https://user:pass@example.com/",
    "https://example.com@127.0.0.1/",
    "https://127.0.0.1#@example.com/",
    "https://127.0.0.1\\@example.com/",
    "https://example.com:25/",
    "https://example.com:22/",
    "https://example.com:0/",
    "https://example.com:99999/",
    "https://exa mple.com/",
    "https://exam%00ple.com/",
    "https://a..b/",
    "https://example.com../",
    `https://${"a".repeat(64)}.${"b.".repeat(100)}com/`,
    `https://example.com/${"a".repeat(2100)}`,
    "https://localhost/",
    "https://LOCALHOST./",
    "https://a.localhost/",
    "https://printer.local/",
    "https://metadata.google.internal/",
    "https://app.flycast/",
    "https://app.internal./",
    "https://router.home.arpa/",
    "https://db/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://127.0.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0x7F.1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://127.0.0.1./",
    "https://①②⑦.⓪.⓪.①/",
    "https://127。0。0。1/",
    "https://%31%32%37.0.0.1/",
    "https://0/",
    "https://0.0.0.0/",
    "https://10.0.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://2852039166/",
    "https://0xa9fea9fe/",
    "https://192.168.0.1/",
    "https://[::1]/",
    "https://[::]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::127.0.0.1]/",
    "https://[64:ff9b::8.8.8.8]/",
    "https://[fdaa::3]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[2002:7f00:1::]/",
    "https://256.256.256.256/",
    "https://1.2.3.4.5/",
  ])("%j", (url) => {
    expect(verdict(url)).toBe("refused");
  });

  test("an address of this machine in any spelling of its number", () => {
    const spelled = fc.nat(0xff_ffff).chain((rest) => {
      const number = 0x7f00_0000 + rest;
      const octets = [24, 16, 8, 0].map((shift) => (number >>> shift) & 255);
      return fc.constantFrom(
        `${number}`,
        `0x${number.toString(16)}`,
        `0${number.toString(8)}`,
        octets.map((octet) => `0x${octet.toString(16)}`).join("."),
        octets.map((octet) => `0${octet.toString(8)}`).join("."),
        `[::ffff:${octets.join(".")}]`,
      );
    });
    fc.assert(fc.property(spelled, (host) => expect(verdict(`https://${host}/`)).toBe("refused")));
  });

  test("nothing a URL can be made of throws anything but a refusal", () => {
    const units = fc.array(fc.nat(0xffff), { maxLength: 30 });
    const part = units.map((codes) => String.fromCharCode(...codes));
    fc.assert(
      fc.property(part, part, (host, path) => {
        verdict(`https://${host}/${path}`);
        verdict(host);
      }),
      { numRuns: 300 },
    );
  });
});

describe("taken", () => {
  test("an ordinary https URL, with its query and without its fragment", () => {
    expect(parseTarget("https://Example.com./a%20b?c=d#e", false)).toEqual({
      isHttps: true,
      host: "example.com",
      isLiteral: false,
      port: 443,
      path: "/a%20b?c=d",
    });
  });

  test("a name in any script, as it stands on the wire, and a port of one's own", () => {
    const target = parseTarget("https://bücher.example:8443", false);
    expect(target).toMatchObject({ host: "xn--bcher-kva.example", port: 8443, path: "/" });
  });

  test("http, short names and literals where private ones are open", () => {
    expect(parseTarget("http://kong:8000/x", true)).toMatchObject({ host: "kong", isHttps: false });
    const literal = { host: "::1", isLiteral: true, port: 80 };
    expect(parseTarget("http://[::1]/", true)).toMatchObject(literal);
  });
});
