import { expect, test } from "bun:test";
import { runEmailRace } from "../testing/model/email-race.ts";

test("clients that race for the same emails never hand one over twice, or after its cancel", async () => {
  const { bodies } = await runEmailRace({
    runs: 15,
    seed: Date.now() % 2 ** 31,
    timeLimitMs: 15_000,
  });
  expect(bodies).toBeGreaterThan(5);
}, 60_000);
