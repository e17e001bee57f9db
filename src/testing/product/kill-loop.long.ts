import { expect, test } from "bun:test";
import { killLoop } from "./kill-loop.ts";

test("200 kills, every tenth on a new folder, lose nothing", async () => {
  const seed = Date.now() % 2 ** 31;
  const result = await killLoop({ kills: 200, freshEvery: 10, seed });
  process.stdout.write(`${JSON.stringify({ seed, kills: 200, ...result })}\n`);
  expect(result.acked).toBeGreaterThan(0);
}, 3_000_000);
