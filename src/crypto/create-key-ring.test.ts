import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { createKeyRing } from "./create-key-ring.ts";
import { DecryptError, UnknownKeyError } from "./decrypt-error.ts";

const keyText = randomBytes(32).toString("hex");
const ring = createKeyRing({ current: keyText, old: [] });
const { dataKey, wrappedKey } = ring.createDataKey("email-1", "owner-1");

describe("content of an email", () => {
  test("text comes back as it was, through the wrapped key", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        const reopened = ring.openDataKey(wrappedKey, "email-1", "owner-1");
        expect(reopened.decryptText(dataKey.encryptText(text, "subject"), "subject")).toBe(text);
      }),
    );
  });

  test("bytes come back as they were and grow by 28", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
        const ciphertext = dataKey.encryptBytes(bytes, "message");
        expect(ciphertext.length).toBe(bytes.length + 28);
        expect(Buffer.from(dataKey.decryptBytes(ciphertext, "message")).equals(bytes)).toBe(true);
      }),
    );
  });

  test("has the documented form and never repeats itself", () => {
    const [one, two] = [dataKey.encryptText("a", "subject"), dataKey.encryptText("a", "subject")];
    expect(one).toMatch(/^v1\.[\w-]{16}\.[\w-]+$/);
    expect(one).not.toBe(two);
    expect(wrappedKey).toMatch(/^v1\.[0-9a-f]{12}\.[\w-]{16}\.[\w-]{64}$/);
  });

  test("does not open in another column", () => {
    const text = dataKey.encryptText("a", "subject");
    expect(() => dataKey.decryptText(text, "reply")).toThrow(DecryptError);
    const bytes = dataKey.encryptBytes(Buffer.from("a"), "message");
    expect(() => dataKey.decryptBytes(bytes, "fields")).toThrow(DecryptError);
  });

  test("does not open in another row or for another owner", () => {
    expect(() => ring.openDataKey(wrappedKey, "email-2", "owner-1")).toThrow(DecryptError);
    expect(() => ring.openDataKey(wrappedKey, "email-1", "owner-2")).toThrow(DecryptError);
    const other = ring.createDataKey("email-2", "owner-1").dataKey;
    expect(() => other.decryptText(dataKey.encryptText("a", "c"), "c")).toThrow(DecryptError);
  });

  test("places that only look alike when joined are told apart", () => {
    const wrapped = ring.createDataKey('a","b', "c").wrappedKey;
    expect(() => ring.openDataKey(wrapped, "a", 'b","c')).toThrow(DecryptError);
  });

  test("does not open when any bit is changed or the end is cut", () => {
    const bytes = dataKey.encryptBytes(Buffer.from("some content"), "message");
    for (let position = 0; position < bytes.length; position++) {
      const changed = Uint8Array.from(bytes);
      changed[position] = (changed[position] ?? 0) ^ 1;
      expect(() => dataKey.decryptBytes(changed, "message")).toThrow(DecryptError);
      expect(() => dataKey.decryptBytes(bytes.subarray(0, position), "message")).toThrow(
        DecryptError,
      );
    }
  });

  test.each(["", "v1", "v1..", "v2.a.b", "v1.a.b.c", "plain words", "v1.AAAA.!!!!"])(
    "%j is refused as no ciphertext",
    (text) => {
      expect(() => dataKey.decryptText(text, "subject")).toThrow(DecryptError);
    },
  );
});

describe("the ring", () => {
  const nextText = randomBytes(32).toString("base64");

  test("reads what an old key wrote, and writes with the current one", () => {
    const next = createKeyRing({ current: nextText, old: [keyText] });
    const reopened = next.openDataKey(wrappedKey, "email-1", "owner-1");
    expect(reopened.decryptText(dataKey.encryptText("a", "c"), "c")).toBe("a");
    expect(next.decryptText(ring.encryptText("b", "answers"), "answers")).toBe("b");
    expect(next.createDataKey("e", "o").wrappedKey).toContain(`.${next.currentKeyId}.`);
    expect(next.currentKeyId).not.toBe(ring.currentKeyId);
  });

  test("names the key that is missing", () => {
    const stranger = createKeyRing({ current: nextText, old: [] });
    expect(() => stranger.openDataKey(wrappedKey, "email-1", "owner-1")).toThrow(UnknownKeyError);
    expect(() => stranger.openDataKey(wrappedKey, "email-1", "owner-1")).toThrow(ring.currentKeyId);
    expect(() => stranger.decryptText(ring.encryptText("b", "c"), "c")).toThrow(UnknownKeyError);
  });

  test("a wrapped key relabelled with another key of the ring does not open", () => {
    const both = createKeyRing({ current: nextText, old: [keyText] });
    const relabelled = wrappedKey.replace(ring.currentKeyId, both.currentKeyId);
    expect(() => both.openDataKey(relabelled, "email-1", "owner-1")).toThrow(DecryptError);
  });

  test("texts under the ring open only in their context, and are no data key's texts", () => {
    const text = ring.encryptText("answer", "idempotency/owner-1");
    expect(ring.decryptText(text, "idempotency/owner-1")).toBe("answer");
    expect(() => ring.decryptText(text, "idempotency/owner-2")).toThrow(DecryptError);
    expect(() => ring.openDataKey(text, "email-1", "owner-1")).toThrow(DecryptError);
  });

  test("the same key in any spelling gives the same ring", () => {
    const bytes = randomBytes(32);
    const spellings = [
      bytes.toString("hex"),
      bytes.toString("hex").toUpperCase(),
      bytes.toString("base64"),
      bytes.toString("base64url"),
      ` ${bytes.toString("base64")}\n`,
    ];
    const prints = spellings.map((current) => createKeyRing({ current, old: [] }).fingerprint);
    expect(new Set(prints).size).toBe(1);
  });

  test("a passphrase always gives the same key; a short one is refused", () => {
    const passphrase = "correct horse battery staple";
    const one = createKeyRing({ current: passphrase, old: [] });
    const two = createKeyRing({ current: passphrase, old: [] });
    expect(two.decryptText(one.encryptText("a", "c"), "c")).toBe("a");
    expect(() => createKeyRing({ current: "too short", old: [] })).toThrow(RangeError);
  });

  test("what a passphrase or key derives to never changes between releases", () => {
    const zero = createKeyRing({ current: "00".repeat(32), old: [] });
    expect([zero.currentKeyId, zero.fingerprint, zero.blindIndex("a@b.example")]).toEqual([
      "fb98c0093d7d",
      "0408f52c4ed64d027bb7525b12694abd",
      "5cf3d28b64317e1cb15a72c64462ea5cb42360b3080f341c8d025878b00ccf85",
    ]);
    const worded = createKeyRing({ current: "correct horse battery staple", old: [] });
    expect(worded.currentKeyId).toBe("f0bb65e8a119");
  });
});

describe("blind index", () => {
  test("is the same for the same address, in whatever letter case", () => {
    expect(ring.blindIndex("Ann@Example.COM")).toBe(ring.blindIndex("ann@example.com"));
    expect(ring.blindIndex("ann@example.com")).toMatch(/^[0-9a-f]{64}$/);
  });

  test("of an earlier version, with the letter case before the @, is searched for as well", () => {
    const zero = createKeyRing({ current: "00".repeat(32), old: [] });
    // Of "Ann@b.example" by version 0.1.0 of 2026-11-29.
    const earlier = "7e8f20fc5ce66964244299a8059c0d321b2671a64e3e6880c32a594ab1538eed";
    expect(zero.blindIndexes("Ann@B.example")).toEqual([zero.blindIndex("ann@b.example"), earlier]);
    expect(zero.blindIndexes("ann@b.example")).toEqual([zero.blindIndex("ann@b.example")]);
  });

  test("differs by local part, domain and key", () => {
    const other = createKeyRing({ current: randomBytes(32).toString("hex"), old: [] });
    const indexes = [
      ring.blindIndex("ann@example.com"),
      ring.blindIndex("anne@example.com"),
      ring.blindIndex("ann@example.org"),
      other.blindIndex("ann@example.com"),
    ];
    expect(new Set(indexes).size).toBe(4);
  });
});
