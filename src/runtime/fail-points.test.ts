import { expect, test } from "bun:test";
import { createFailPoints, noFailPoints } from "./fail-points.ts";

test("a point does nothing unless it is armed", async () => {
  const points = createFailPoints("claim.after=throw", () => {});
  await points("claim.before");
  await noFailPoints("claim.after");
  await expect(points("claim.after")).rejects.toThrow("claim.after");
});

test("a point can be armed for one passage, and kill", async () => {
  let kills = 0;
  const points = createFailPoints("fence.after=kill@2, settle.before=throw@1", () => {
    kills += 1;
  });
  await points("fence.after");
  expect(kills).toBe(0);
  await points("fence.after");
  await points("fence.after");
  expect(kills).toBe(1);
});

test("a point can be armed for every n-th passage", async () => {
  const points = createFailPoints("begin.before=throw%3", () => {});
  const passages = await Promise.allSettled(
    Array.from({ length: 7 }, () => points("begin.before")),
  );
  expect(passages.map(({ status }) => status === "rejected")).toEqual([
    ...[false, false, true],
    ...[false, false, true],
    false,
  ]);
  expect(() => createFailPoints("begin.before=throw%0", () => {})).toThrow("not a fail-point");
});

test("a spec that cannot be read is refused", () => {
  expect(() => createFailPoints("nowhere=kill", () => {})).toThrow("nowhere=kill");
  expect(() => createFailPoints("claim.after=sleep", () => {})).toThrow("not a fail-point");
});
