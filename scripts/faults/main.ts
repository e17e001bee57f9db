import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { faults } from "./catalogue.ts";
import type { Fault, Scale } from "./fault.ts";
import { twinTable } from "./naive-twin/twin-table.ts";
import { appendResult, markOf, renderResults, summary } from "./results.ts";
import { type FaultRun, runFault } from "./run-fault.ts";

const usage = `usage: scripts/faults/run [--long] [--scale small|full] [--only <fault,…>] [--seed <n>]

Runs faults against the compiled binary on real servers and judges what was sent.

  --only    these faults; without it all that are quick at this scale
  --long    also those whose waiting takes minutes
  --scale   small (default) or full, the scale of the published table
  --seed    the moments that chance chooses; printed with every run
  --record  appends each result to scripts/faults/results.jsonl and renders RESULTS.md
  --render  only renders RESULTS.md
  --list    the names
`;

const root = resolve(import.meta.dir, "../..");
const resultsFile = join(root, "scripts/faults/results.jsonl");
const twinFile = join(root, "scripts/faults/twin-results.jsonl");
const tableFile = join(root, "scripts/faults/RESULTS.md");

interface Choice {
  chosen: Fault[];
  scale: Scale;
  seed: number;
  isRecording: boolean;
}

/** Names and numbers off the command line; throws on what cannot be meant. */
function readChoice(values: Record<string, string | boolean | undefined>): Choice {
  const { scale = "small", seed = String(Date.now() % 2 ** 31) } = values;
  if (scale !== "small" && scale !== "full") {
    throw new Error(`--scale: expected small or full, got ${JSON.stringify(scale)}`);
  }
  if (!/^\d{1,10}$/.test(String(seed))) {
    throw new Error(`--seed: expected a whole number, got ${JSON.stringify(seed)}`);
  }
  const names = typeof values.only === "string" ? values.only.split(",") : null;
  const unknown = names?.find((name) => !faults.some((fault) => fault.name === name));
  if (unknown !== undefined) {
    throw new Error(`--only: expected names of --list, got ${JSON.stringify(unknown)}`);
  }
  const chosen = faults.filter(({ name, isLongOnly }) =>
    names ? names.includes(name) : values.long === true || !isLongOnly,
  );
  return { chosen, scale, seed: Number(seed), isRecording: values.record === true };
}

/** One line that is written over, on a terminal only. */
function progressLine(name: string): (text: string) => void {
  if (!process.stderr.isTTY) return () => undefined;
  return (text) => void process.stderr.write(`\r\u001b[K  ${name}: ${text}`);
}

/** What a run prints of one fault, ending in a line break. */
export function wordsOf({ result, report, isFailed }: FaultRun, seed: number): string {
  const { fault, notYet } = result;
  const sign = report === "" ? "✓" : isFailed ? "✗" : "–";
  const head = `${sign} ${fault}${markOf(notYet)} (seed ${seed}): ${summary(result)}\n`;
  if (report !== "") return `${head}${report}\n`;
  return notYet === undefined ? head : `${head}  kept: remove \`notYet\` from this fault\n`;
}

async function runAll({ chosen, scale, seed, isRecording }: Choice): Promise<boolean> {
  let isAllKept = true;
  for (const fault of chosen) {
    const say = progressLine(fault.name);
    const run = await runFault(fault, { scale, seed, say, root });
    if (process.stderr.isTTY) process.stderr.write("\r\u001b[K");
    process.stdout.write(wordsOf(run, seed));
    const { result, isFailed } = run;
    if (isFailed) isAllKept = false;
    if (isRecording) {
      appendResult(resultsFile, result);
      render();
    }
  }
  return isAllKept;
}

function listed({ name, what, notYet }: Fault): string {
  return `${name}${markOf(notYet)}: ${what}`;
}

function render(): void {
  renderResults(resultsFile, tableFile, {
    order: faults.map(({ name }) => name),
    appendix: twinTable(twinFile),
  });
}

async function main(): Promise<number> {
  const boolean = { type: "boolean" } as const;
  const text = { type: "string" } as const;
  try {
    const { values } = parseArgs({
      options: {
        long: boolean,
        record: boolean,
        render: boolean,
        list: boolean,
        help: boolean,
        scale: text,
        only: text,
        seed: text,
      },
    });
    if (values.help) process.stdout.write(usage);
    else if (values.list) for (const fault of faults) console.log(listed(fault));
    else if (values.render) render();
    else return (await runAll(readChoice(values))) ? 0 : 1;
    return 0;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const isUsage = /^(--|Unknown option|Unexpected argument|Option)/.test(error.message);
    process.stderr.write(isUsage ? `${error.message}\n\n${usage}` : `${error.stack}\n`);
    return isUsage ? 2 : 1;
  }
}

if (import.meta.main) process.exit(await main());
