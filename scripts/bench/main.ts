import { writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { runOnce, sharedPostgres } from "../../src/testing/servers/postgres-server.ts";
import { commitOf, machine } from "../faults/results.ts";
import { measurements } from "./catalogue.ts";
import type { Curve, Outcome } from "./figure.ts";
import type { Bench, Measurement } from "./measurement.ts";
import { picture } from "./picture.ts";
import { appendResult, type BenchResult, renderResults, table } from "./results.ts";

const usage = `usage: scripts/bench/run [--only <name,…>] [--quick] [--long] [--rounds <n>] [--record]

Measures the compiled binary beside its references, on the same work, in the same run.

  --only         these measurements; without it all of them
  --quick        small numbers, one round: to see that it works; the figures mean nothing
  --long         also what takes many minutes, such as a backlog of a million
  --rounds       how often each has its turn (3)
  --with-relays  also Postfix and Haraka, where they can be had
  --record       appends to scripts/bench/results.jsonl, draws the pictures, renders RESULTS.md
  --render       only renders RESULTS.md
  --list         the names
`;

const root = resolve(import.meta.dir, "../..");
const folder = join(root, "scripts/bench");

const pictures: Record<string, { file: string; title: string; x: string; y: string }> = {
  burst: {
    file: "burst.svg",
    title: "Mails of 10 kB due at one moment: how many are delivered",
    x: "milliseconds after the moment",
    y: "mails",
  },
  lateness: {
    file: "lateness.svg",
    title: "100 mails a second: how late they are",
    x: "milliseconds after the time they were due",
    y: "percent of mails",
  },
};

type Values = Record<string, string | boolean | undefined>;

function chosenOf({ only }: Values): Measurement[] {
  if (typeof only !== "string") return measurements;
  return only.split(",").map((name) => {
    const found = measurements.find((measurement) => measurement.name === name);
    if (!found) throw new Error(`--only: expected names of --list, got ${JSON.stringify(name)}`);
    return found;
  });
}

function benchOf(values: Values): Bench {
  const isQuick = values.quick === true;
  const { rounds = isQuick ? "1" : "3" } = values;
  if (!/^[1-9]\d?$/.test(String(rounds))) {
    throw new Error(`--rounds: expected a number from 1 to 99, got ${JSON.stringify(rounds)}`);
  }
  if (isQuick && values.record)
    throw new Error("--record: not with --quick, whose figures mean nothing");
  return {
    rounds: Number(rounds),
    isQuick,
    isLong: values.long === true,
    hasRelays: values["with-relays"] === true,
    tools: process.env.BENCH_TOOLS ?? join(root, ".cache/bench"),
    say: (text) => void process.stderr.write(`  ${text}\n`),
    count: (quick, full) => (isQuick ? quick : full),
  };
}

async function runAll(chosen: Measurement[], bench: Bench, isRecording: boolean): Promise<boolean> {
  let isWhole = true;
  for (const measurement of chosen) {
    console.log(`\n${measurement.name}: ${measurement.what}`);
    const loadBefore = Number((loadavg()[0] ?? 0).toFixed(2));
    const startedAt = performance.now();
    const at = new Date().toISOString();
    const outcome = await measurement.run(bench);
    report(outcome);
    if (outcome.broken.length > 0) isWhole = false;
    if (!isRecording) continue;
    const { curves = [], ...rest } = outcome;
    const result: BenchResult = {
      ...rest,
      measurement: measurement.name,
      at,
      commit: commitOf(root),
      rounds: bench.rounds,
      machine: machine(),
      versions: await versions(),
      loadBefore,
      tookMs: Math.round(performance.now() - startedAt),
    };
    appendResult(folder, result);
    draw(measurement.name, curves);
    render();
  }
  return isWhole;
}

function report({ figures, settings, broken }: Outcome): void {
  console.log(table(figures));
  const words = Object.entries(settings).map(([name, value]) => `${name} ${value}`);
  console.log(`settings: ${words.join(", ")}`);
  console.log(broken.length === 0 ? "nothing lost or doubled" : `✗ void: ${broken.join("; ")}`);
}

function draw(name: string, curves: Curve[]): void {
  const words = pictures[name];
  if (words && curves.length > 0) writeFileSync(join(folder, words.file), picture(curves, words));
}

function render(): void {
  renderResults(
    folder,
    measurements.map(({ name }) => name),
  );
}

async function versions(): Promise<Record<string, string>> {
  const [row] = await runOnce((await sharedPostgres()).adminUrl, "show server_version");
  const redis = Bun.spawnSync(["redis-server", "--version"]).stdout.toString();
  return {
    Bun: Bun.version,
    PostgreSQL: String(row?.server_version).split(" ")[0] ?? "",
    Redis: /v=([\d.]+)/.exec(redis)?.[1] ?? "",
  };
}

async function main(): Promise<number> {
  const boolean = { type: "boolean" } as const;
  const text = { type: "string" } as const;
  try {
    const { values } = parseArgs({
      options: {
        only: text,
        rounds: text,
        quick: boolean,
        long: boolean,
        "with-relays": boolean,
        record: boolean,
        render: boolean,
        list: boolean,
        help: boolean,
      },
    });
    if (values.help) process.stdout.write(usage);
    else if (values.list)
      for (const { name, what } of measurements) console.log(`${name}: ${what}`);
    else if (values.render) render();
    else return (await runAll(chosenOf(values), benchOf(values), values.record === true)) ? 0 : 1;
    return 0;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const isUsage = /^(--|Unknown option|Unexpected argument|Option)/.test(error.message);
    process.stderr.write(isUsage ? `${error.message}\n\n${usage}` : `${error.stack}\n`);
    return isUsage ? 2 : 1;
  }
}

if (import.meta.main) process.exit(await main());
