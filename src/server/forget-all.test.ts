import { expect, test } from "bun:test";
import { forgetAll } from "./forget-all.ts";

/** A table of so many old rows, and what was asked of it. */
function tableOf(rows: number) {
  const seen = { calls: 0, pauses: 0, left: rows };
  const forget = async (_: string, limit: number) => {
    const count = Math.min(limit, seen.left);
    seen.calls += 1;
    seen.left -= count;
    return count;
  };
  const pause = async () => {
    seen.pauses += 1;
  };
  return { seen, run: () => forgetAll({ forget }, "minutes", pause) };
}

test("a run forgets in bounded steps, with a pause after each, until there is no more", async () => {
  const { seen, run } = tableOf(12_000);
  expect(await run()).toEqual({ forgotten: 12_000 });
  expect(seen).toEqual({ calls: 3, pauses: 2, left: 0 });
  expect(await run()).toEqual({ forgotten: 0 });
  expect(seen.calls).toBe(4);
});

test("a run is bounded, and the next one does what is left", async () => {
  const { seen, run } = tableOf(1_000_001);
  expect(await run()).toEqual({ forgotten: 1_000_000 });
  expect(await run()).toEqual({ forgotten: 1 });
  expect(seen.left).toBe(0);
});
