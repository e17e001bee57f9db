import { expect, test } from "bun:test";
import { keptFor } from "./kept-for.ts";

test("questions of one moment are one, and a failure is kept for nobody", async () => {
  const state = { asked: 0, isGone: false };
  const ask = keptFor(60_000, async () => {
    state.asked += 1;
    if (state.isGone) throw new Error("gone");
    return state.asked;
  });
  expect(await Promise.all([ask(), ask(), ask()])).toEqual([1, 1, 1]);
  const failing = keptFor(60_000, () => Promise.reject(new Error("gone")));
  await expect(failing()).rejects.toThrow("gone");
  await expect(failing()).rejects.toThrow("gone");
});

test("the last answer counts for a while where there is no new one", async () => {
  const state = { isGone: false };
  const ask = async () => {
    if (state.isGone) throw new Error("gone");
    return "known";
  };
  const [patient, strict] = [keptFor(0, ask, 60_000), keptFor(0, ask)];
  await Promise.all([patient(), strict()]);
  state.isGone = true;
  expect(await patient()).toBe("known");
  await expect(strict()).rejects.toThrow("gone");
});
