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

test("a spec that cannot be read is refused", () => {
  expect(() => createFailPoints("nowhere=kill", () => {})).toThrow("nowhere=kill");
  expect(() => createFailPoints("claim.after=sleep", () => {})).toThrow("not a fail-point");
});
