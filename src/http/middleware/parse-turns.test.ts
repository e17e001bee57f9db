import { expect, test } from "bun:test";
import { createParseTurns } from "./parse-turns.ts";

/** Ends a turn and says whether the same owner's next begins before the loop comes round again. */
async function isNextAtOnce(turns: ReturnType<typeof createParseTurns>): Promise<boolean> {
  const end = await turns.enter("flood");
  const next = turns.enter("flood");
  // Long enough that three times as long is no moment.
  const until = performance.now() + 10;
  while (performance.now() < until);
  end();
  const late = new Promise((resolve) => setImmediate(() => resolve("late")));
  const isAtOnce = (await Promise.race([next, late])) !== "late";
  (await next)();
  return isAtOnce;
}

test("who is alone parses one body after another; while others ask, three quarters are theirs", async () => {
  let nowMs = 0;
  const turns = createParseTurns(() => nowMs);
  turns.see("flood");
  expect(await isNextAtOnce(turns)).toBe(true);
  turns.see("other");
  turns.see("flood");
  expect(await isNextAtOnce(turns)).toBe(false);
  nowMs = 5_001;
  turns.see("flood");
  expect(await isNextAtOnce(turns)).toBe(true);
});
