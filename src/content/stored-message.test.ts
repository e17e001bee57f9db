import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { createKeyRing } from "../crypto/create-key-ring.ts";
import { DecryptError } from "../crypto/decrypt-error.ts";
import { decryptMessage, encryptMessage } from "./stored-message.ts";

const keyRing = createKeyRing({ current: "ab".repeat(32), old: [] });
const { dataKey } = keyRing.createDataKey("0b5d2f4e-6a6b-4f0e-9f6e-3f1f2f9f7a11", "ada");
const sealBytes = 28;

function prose(bytes: number): Buffer {
  return Buffer.from("Subject: what mails say\r\n".repeat(bytes / 25 + 1)).subarray(0, bytes);
}

async function stored(message: Uint8Array) {
  return { message: await encryptMessage(dataKey, message), messageBytes: message.length };
}

describe("a stored message", () => {
  test.each([0, 1, 511, 512, 10_000, 262_144, 262_145, 1_000_000])(
    "of %d bytes is read back to the byte, whatever is in it",
    async (bytes) => {
      for (const message of [prose(bytes), randomBytes(bytes)]) {
        const read = decryptMessage(dataKey, await stored(message));
        expect(Buffer.from(read).equals(message)).toBe(true);
      }
    },
  );

  test("is smaller than the message when that compresses, and never larger than its ciphertext", async () => {
    expect((await stored(prose(10_000))).message.length).toBeLessThan(1_000);
    for (const message of [prose(511), prose(300_000), randomBytes(10_000)]) {
      expect((await stored(message)).message.length).toBe(message.length + sealBytes);
    }
  });

  test("as earlier versions stored it opens as before", () => {
    const message = prose(10_000);
    const ciphertext = dataKey.encryptBytes(message, "message");
    expect(decryptMessage(dataKey, { message: ciphertext, messageBytes: 10_000 })).toEqual(message);
  });

  test("opens neither changed nor under another size, which would say how to read it", async () => {
    const packed = await stored(prose(10_000));
    const whole = await stored(randomBytes(10_000));
    const changed = Buffer.from(packed.message);
    changed[40] = (changed[40] ?? 0) ^ 1;
    for (const wrong of [
      { ...packed, message: changed },
      { ...packed, messageBytes: 1 },
      { ...whole, messageBytes: 20_000 },
    ]) {
      expect(() => decryptMessage(dataKey, wrong)).toThrow(DecryptError);
    }
  });
});
