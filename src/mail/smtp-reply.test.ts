import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseReply } from "./smtp-reply.ts";

describe("a reply", () => {
  const table: [string, number, string | null][] = [
    ["550 5.1.1 No such user", 550, "5.1.1"],
    ["550-5.1.1 No such\n550 5.1.1 user", 550, "5.1.1"],
    // Lines that disagree: the one that agrees with the basic code is meant.
    ["550-4.7.1 Hello\n550 5.7.1 Go away", 550, "5.7.1"],
    ["450-5.1.1 Hello\n450 4.7.1 Come again", 450, "4.7.1"],
    ["450-5.1.1 Hello\n450 5.7.1 Go away", 450, "5.1.1"],
    ["550-No code here\n550 5.7.1 but here", 550, "5.7.1"],
    ["550 5.1 too short", 550, null],
    ["550 5.1.1abc", 550, null],
    ["550 6.1.1 no such class", 550, null],
    ["550 5.1.1", 550, "5.1.1"],
    ["550", 550, null],
  ];
  for (const [raw, code, enhanced] of table) {
    test(`${JSON.stringify(raw)}: ${code} ${enhanced}`, () => {
      expect(parseReply(raw)).toMatchObject({ code, enhanced });
    });
  }

  test("that is none by the grammar is null", () => {
    for (const raw of ["", "hello", "99 no", "600 no", "2500 no", "250-open"]) {
      expect(parseReply(raw)).toBeNull();
    }
  });

  test("of any garbage is null, or has a code from 200 to 599 and one printable line", () => {
    const anyLine = fc.oneof(
      fc.string({ unit: "binary-ascii", maxLength: 40 }),
      fc.tuple(fc.integer({ min: 0, max: 999 }), fc.string()).map(([c, t]) => `${c} ${t}`),
    );
    fc.assert(
      fc.property(fc.array(anyLine, { maxLength: 5 }), (lines) => {
        const reply = parseReply(lines.join("\n"));
        if (reply === null) return;
        expect(reply.code).toBeWithin(200, 600);
        expect(reply.text).not.toMatch(/\p{Cc}/u);
        expect(reply.text.length).toBeLessThanOrEqual(500);
        expect(reply.enhanced ?? "5.0.0").toMatch(/^[245]\.\d{1,3}\.\d{1,3}$/);
      }),
    );
  });
});
