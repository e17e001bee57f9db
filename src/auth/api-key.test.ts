import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { scrubbedText } from "../log-scrub.ts";
import { createApiKey, isApiKey, readApiKey } from "./api-key.ts";

describe("a new API key", () => {
  test("is one word of a fixed shape, and reads back to the same", () => {
    const made = createApiKey();
    expect(made.key).toMatch(/^tfm_[0-9A-Za-z]{46}$/);
    expect(made.key.startsWith(made.prefix)).toBe(true);
    expect(made.prefix).toHaveLength(12);
    expect(made.hash).toMatch(/^[0-9a-f]{64}$/);
    expect(readApiKey(made.key)).toEqual(made);
    expect(isApiKey(made.key)).toBe(true);
  });

  test("has more than 160 bits that nothing shown tells of, all characters alike", () => {
    const secrets = Array.from({ length: 500 }, () => createApiKey().key.slice(12, 44));
    expect(new Set(secrets).size).toBe(500);
    expect(Math.log2(62) * 32).toBeGreaterThan(160);
    const counts = new Map<string, number>();
    for (const one of secrets.join("")) counts.set(one, (counts.get(one) ?? 0) + 1);
    expect(counts.size).toBe(62);
    // 16,000 characters, 258 of each on average; six deviations either way.
    for (const count of counts.values()) expect(Math.abs(count - 258)).toBeLessThan(96);
  });

  test("never passes into a log", () => {
    const { key } = createApiKey();
    expect(scrubbedText(`the header was Bearer ${key}, it failed`)).not.toContain(key.slice(4));
  });
});

describe("a text that is no key", () => {
  test("is told by its checksum, without asking anybody: one character wrong, or two swapped", () => {
    const { key } = createApiKey();
    const place = fc.integer({ min: 4, max: key.length - 1 });
    const character = fc.constantFrom(..."0189AZaz");
    fc.assert(
      fc.property(place, character, (at, other) => {
        fc.pre(key[at] !== other);
        expect(readApiKey(`${key.slice(0, at)}${other}${key.slice(at + 1)}`)).toBeNull();
      }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 4, max: key.length - 2 }), (at) => {
        fc.pre(key[at] !== key[at + 1]);
        const swapped = `${key.slice(0, at)}${key[at + 1]}${key[at]}${key.slice(at + 2)}`;
        expect(readApiKey(swapped)).toBeNull();
      }),
    );
  });

  test.each(["", "tfm_", "tfm_abc", "eyJhbGciOiJIUzI1NiJ9.e30.x", `tfm_${"a".repeat(46)}`])(
    "%j",
    (text) => expect(readApiKey(text)).toBeNull(),
  );

  test("a key that was cut or went on", () => {
    const { key } = createApiKey();
    for (const wrong of [key.slice(0, -1), `${key}0`, ` ${key}`, key.toLowerCase(), `${key}\n`]) {
      expect(readApiKey(wrong)).toBeNull();
    }
  });
});
