import { describe, expect, test } from "bun:test";
import { createSigningKey } from "../crypto/signing-key.ts";
import { isSoundlySigned, parseCheckpoint, signCheckpoint } from "./checkpoint.ts";

// RFC 8032, 7.1, test 1.
const seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const key = createSigningKey({ auditSigningKey: seed, encryptionKey: "" });
const state = { at: "2026-11-24T04:00:00.000000Z", position: 7, chains: 2, root: "ab".repeat(32) };
const checkpoint = signCheckpoint(state, "ada", key);

describe("a checkpoint", () => {
  test("is signed with Ed25519, as the RFC's own vector has it", () => {
    expect(Buffer.from(key.publicKey, "base64").toString("hex")).toBe(
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    );
    expect(Buffer.from(key.sign(""), "base64").toString("hex")).toStartWith("e5564300c360ac72");
    const again = Buffer.from(seed, "hex").toString("base64");
    const fromBase64 = createSigningKey({ auditSigningKey: again, encryptionKey: "" });
    expect(fromBase64.publicKey).toBe(key.publicKey);
  });

  test("survives being written and read, also as the API answers it", () => {
    const text = JSON.stringify(checkpoint);
    expect(parseCheckpoint(text)).toEqual(checkpoint);
    expect(parseCheckpoint(`{"success":true,"data":${text}}`)).toEqual(checkpoint);
    expect(isSoundlySigned(parseCheckpoint(text))).toBe(true);
  });

  test.each([
    { at: "2026-11-25T04:00:00.000000Z" },
    { owner_id: null },
    { owner_id: "bob" },
    { position: 6 },
    { chains: 1 },
    { root: "cd".repeat(32) },
    { key: createSigningKey({ auditSigningKey: null, encryptionKey: seed }).publicKey },
    { key: "" },
    { signature: "" },
    { signature: Buffer.alloc(64).toString("base64") },
  ])("changed in one place is not soundly signed: %j", (change) => {
    expect(isSoundlySigned({ ...checkpoint, ...change })).toBe(false);
  });

  test.each(["", "[]", "{}", "null", '{"type":"another"}', `{"type":"${checkpoint.type}"}`])(
    "is not read from %j",
    (text) => {
      expect(() => parseCheckpoint(text)).toThrow("expected a checkpoint");
    },
  );

  test("is signed by a key of its own for each ENCRYPTION_KEY, the same on every process", () => {
    const keyOf = (encryptionKey: string) =>
      createSigningKey({ auditSigningKey: null, encryptionKey }).publicKey;
    expect(keyOf(seed)).toBe(keyOf(seed));
    expect(keyOf(seed)).not.toBe(keyOf("ab".repeat(32)));
    expect(keyOf(seed)).not.toBe(key.publicKey);
  });
});
