import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { appendResult } from "../results.ts";
import { runTwin, type TwinResult } from "./run-twin.ts";
import { twinFaults } from "./twin-faults.ts";

const usage = `usage: scripts/faults/twin [--scale small|full] [--only <fault,…>] [--seed <n>] [--record]

Does to a naive twin, BullMQ and sendMail as tutorials show them, what scripts/faults/run does to
the product. Nothing is promised of it, so nothing fails. --record appends to
scripts/faults/twin-results.jsonl, from which RESULTS.md is rendered.
`;

const root = resolve(import.meta.dir, "../../..");
const resultsFile = join(root, "scripts/faults/twin-results.jsonl");

async function main(): Promise<void> {
  const text = { type: "string" } as const;
  const boolean = { type: "boolean" } as const;
  const { values } = parseArgs({
    options: { scale: text, only: text, seed: text, record: boolean, help: boolean },
  });
  if (values.help) {
    process.stdout.write(usage);
    return;
  }
  const scale = values.scale === "full" ? "full" : "small";
  const seed = Number(values.seed ?? Date.now() % 2 ** 31);
  const names = values.only?.split(",");
  for (const fault of twinFaults.filter(({ name }) => !names || names.includes(name))) {
    const result = await runTwin(fault, scale, seed);
    process.stdout.write(`${summary(result)}\n`);
    if (values.record) appendResult(resultsFile, result);
  }
}

function summary(result: TwinResult): string {
  const { fault, seed, mails, lost, givenUp, doubled, early, sentAfterCancel, cancelled } = result;
  return [
    `${fault} (seed ${seed}): ${mails} mails, ${result.harms} harms`,
    `lost ${lost}, given up ${givenUp}, doubled ${doubled}, early ${early}`,
    `after a cancel ${sentAfterCancel} of ${cancelled}`,
    `lateness p99 ${result.lateness?.p99 ?? "–"} ms`,
    `${Math.round(result.tookMs / 1000)} s`,
    ...(result.restless ? [result.restless] : []),
  ].join(" · ");
}

if (import.meta.main) {
  await main();
  process.exit();
}
