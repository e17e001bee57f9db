import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import MimeNode from "nodemailer/lib/mime-node";
import { isAppError } from "../errors.ts";
import { assertHeaderBlock, assertHeaderName, headerCase, headerField } from "./header-field.ts";

function isRefused(write: () => unknown): boolean {
  try {
    write();
    return false;
  } catch (error) {
    return isAppError(error, "invalid_content");
  }
}

describe("a header field", () => {
  test("is folded at a space from 76 characters on", () => {
    expect(headerField("X-A", "x".repeat(70))).toBe(`X-A: ${"x".repeat(70)}`);
    const words = `${"x".repeat(35)} ${"y".repeat(35)}`;
    expect(headerField("X-A", words)).toBe(`X-A: ${"x".repeat(35)}\r\n ${"y".repeat(35)}`);
  });

  test("with a line end or any other control character in its value is refused", () => {
    for (const character of ["\r\n", "\n", "\r", "\0", "\t", "\x7f", "\u0085", "\u2028", "ü"]) {
      expect(isRefused(() => headerField("X-A", `a${character}Bcc: e@e.net`))).toBe(true);
    }
  });

  test("is named in nodemailer's letter case", () => {
    const anyName = fc.oneof(
      fc.stringMatching(/^[A-Za-z0-9-]{1,30}$/),
      fc.stringMatching(/^(X|MIME|dkim|Arc|BIMI|OTP|list)-?(SPF|fbl|Id|MD5|token|smtpapi)?$/),
    );
    // nodemailer would make recipients of a `To`; such a name is refused before it is written.
    const name = anyName.filter((value) => !isRefused(() => assertHeaderName(value)));
    fc.assert(
      fc.property(name, (value) => {
        const block = new MimeNode()
          .addHeader(value, { prepared: true, value: "1" })
          .buildHeaders();
        expect(block.split("\r\n")).toContain(`${headerCase(value)}: 1`);
      }),
      { numRuns: 500 },
    );
  });
});

test("a header block is refused when a line of it is too long or not ASCII, or it is empty", () => {
  expect(isRefused(() => assertHeaderBlock(`A: 1\r\nB: ${"x".repeat(995)}`))).toBe(false);
  expect(isRefused(() => assertHeaderBlock(`A: 1\r\nB: ${"x".repeat(996)}`))).toBe(true);
  expect(isRefused(() => assertHeaderBlock("A: ü"))).toBe(true);
  expect(isRefused(() => assertHeaderBlock("A: 1\nB: 2"))).toBe(true);
  expect(isRefused(() => assertHeaderBlock(""))).toBe(true);
});
