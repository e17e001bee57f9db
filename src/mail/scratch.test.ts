import { expect, test } from "bun:test";
import { createScratch } from "./scratch.ts";

test("what is given out lies side by side until it is cleared", () => {
  const scratch = createScratch(64);
  const first = scratch.write("één");
  const second = scratch.take(8).fill(0x2e);
  expect(first.toString()).toBe("één");
  expect(second.buffer).toBe(first.buffer);
  expect(second.byteOffset).toBe(first.byteOffset + first.length);
  scratch.clear();
  expect(scratch.take(4).byteOffset).toBe(first.byteOffset);
});

test("what does not fit has memory of its own, and takes none from who comes after", () => {
  const scratch = createScratch(32);
  const large = scratch.write("x".repeat(30));
  expect(large.toString()).toBe("x".repeat(30));
  expect(scratch.take(33)).toHaveLength(33);
  expect(scratch.take(32).buffer).not.toBe(large.buffer);
});

test("what is kept stays as it was", () => {
  const scratch = createScratch(32);
  const kept = scratch.keep(scratch.write("first"));
  const large = scratch.write("y".repeat(40));
  scratch.clear();
  scratch.write("other");
  expect(kept.toString()).toBe("first");
  expect(scratch.keep(large)).toBe(large);
});

test("half a surrogate pair is written as U+FFFD, as Buffer.from does", () => {
  expect(createScratch(32).write("a\ud83eb").toString()).toBe("a\ufffdb");
});
