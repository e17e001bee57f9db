import { expect, test } from "bun:test";
import { runEmailRace } from "./email-race.ts";
import { runEmailModel } from "./run-email-model.ts";

const long = { seed: Date.now() % 2 ** 31, timeLimitMs: 600_000 };

test("the database does what the model says, 400 runs", async () => {
  process.stdout.write(`seed ${long.seed}\n`);
  const { commands } = await runEmailModel({ ...long, runs: 400 });
  expect(commands).toBeGreaterThan(10_000);
}, 700_000);

test("racing clients hand nothing over twice, 600 runs", async () => {
  process.stdout.write(`seed ${long.seed}\n`);
  const { bodies } = await runEmailRace({ ...long, runs: 600 });
  expect(bodies).toBeGreaterThan(500);
}, 700_000);
