import { expect, test } from "bun:test";
import { runEmailModel } from "../testing/model/run-email-model.ts";

test("whatever is done to emails in whatever order, the database does what the model says", async () => {
  const { commands } = await runEmailModel({
    runs: 15,
    seed: Date.now() % 2 ** 31,
    timeLimitMs: 15_000,
  });
  expect(commands).toBeGreaterThan(60);
}, 60_000);
