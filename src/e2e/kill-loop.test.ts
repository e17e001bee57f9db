import { expect, test } from "bun:test";
import { killLoop } from "../testing/product/kill-loop.ts";

test("killed at any moment of a start or of its work, it starts again and has lost nothing", async () => {
  const { acked } = await killLoop({ kills: 6, freshEvery: 3, seed: 20261124 });
  expect(acked).toBeGreaterThan(0);
}, 120_000);
