import { describe, expect, test } from "bun:test";
import { headerNameFault, headerValueFault, repeatedHeaders } from "./header-rules.ts";

describe("names", () => {
  test.each([
    "X-Ticket",
    "x-a",
    "X-1_2.3",
    "References",
    "IN-REPLY-TO",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "Auto-Submitted",
    "Precedence",
    "Importance",
  ])("%s may be set", (name) => {
    expect(headerNameFault(name)).toBeNull();
  });

  test.each([
    ...["Bcc", "bcc", "To", "Cc", "From", "Sender", "Reply-To", "Return-Path", "Subject", "Date"],
    ...["Message-ID", "Content-Type", "Content-Transfer-Encoding", "MIME-Version", "Received"],
    ...["DKIM-Signature", "Resent-To", "X-", "List-", "X", "", "Referencesx", "xX-A"],
    ...["X-A:", "X-A: b\r\nBcc", "X A", "X-A\n", "X-A\0", "X-Ü", "X-(a)", "__proto__"],
  ])("%j may not", (name) => {
    expect(headerNameFault(name)).toMatch(/^expected .*, got "/);
  });

  test("too long a name may not", () => {
    expect(headerNameFault(`X-${"a".repeat(75)}`)).not.toBeNull();
  });

  test("the same name in another letter case is a repetition", () => {
    expect(repeatedHeaders(["X-A", "X-B", "x-a"])).toEqual(["x-a"]);
  });
});

describe("values", () => {
  test.each(["a", "Grüße", "<a@b> <c@d>"])("%j may stand", (value) => {
    expect(headerValueFault(value)).toBeNull();
  });

  test.each<[unknown]>([
    [""],
    [" "],
    ["a\r\nBcc: b@evil.example"],
    ["a\nb"],
    ["a\rb"],
    ["a\0b"],
    ["a\u0085b"],
    ["a\u2028b"],
    ["\ud800"],
    [7],
    [null],
    [["a"]],
    [{ a: 1 }],
  ])("%j may not", (value) => {
    expect(headerValueFault(value)).toMatch(/^expected .*, got /);
  });

  test("998 characters may stand, 999 may not, and 998 in one word fit no folded line", () => {
    expect(headerValueFault(`a ${"a".repeat(996)}`)).toBeNull();
    expect(headerValueFault("a".repeat(997))).toBeNull();
    expect(headerValueFault("a".repeat(998))).toMatch(/without a space, got 998/);
    expect(headerValueFault("a".repeat(999))).toMatch(/1 to 998/);
  });
});
