import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Figure, figureCells, type Outcome } from "./figure.ts";

/** A line of results.jsonl: one measurement of one run. */
export interface BenchResult extends Omit<Outcome, "curves"> {
  measurement: string;
  at: string;
  commit: string;
  rounds: number;
  machine: { cpus: number; memoryGb: number; kernel: string };
  versions: Record<string, string>;
  /** What else the machine was doing when it began. */
  loadBefore: number;
  tookMs: number;
}

const head = "| what | gate | aim | measured: median (min–max) | |\n|---|---|---|---|---|";

/** The rows of a table; what nothing is asked of stands below, as what it was measured against. */
export function table(figures: Figure[]): string {
  const asked = figures.filter(({ target }) => target);
  const others = figures.filter(({ target }) => !target);
  return [
    head,
    ...[...asked, ...others].map((figure) => `| ${figureCells(figure).join(" | ")} |`),
  ].join("\n");
}

export function appendResult(folder: string, result: BenchResult): void {
  appendFileSync(join(folder, "results.jsonl"), `${JSON.stringify(result)}\n`);
}

/** The newest line of each measurement, in the order in which `names` has them. */
export function newestResults(lines: string, names: string[]): BenchResult[] {
  const newest = new Map<string, BenchResult>();
  for (const line of lines.split("\n").filter(Boolean)) {
    const result = JSON.parse(line) as BenchResult;
    newest.set(result.measurement, result);
  }
  return names.map((name) => newest.get(name)).filter((result) => result !== undefined);
}

export function renderResults(folder: string, names: string[]): void {
  const file = join(folder, "results.jsonl");
  const results = newestResults(existsSync(file) ? readFileSync(file, "utf8") : "", names);
  writeFileSync(join(folder, "RESULTS.md"), page(results));
}

export function page(results: BenchResult[]): string {
  const sections = results.map(
    (result) =>
      `## ${result.measurement}\n\n${table(result.figures)}\n\n${verdictOfRun(result)}\n\n${runText(result)}\n`,
  );
  return `# How fast and how small, beside the field

Rendered from [results.jsonl](results.jsonl) by \`scripts/bench/run --render\`; do not edit. What each
row means and how it is measured: [README.md](README.md).

![Delivery of a burst](burst.svg)

![Lateness](lateness.svg)

${sections.join("\n")}`;
}

function verdictOfRun({ broken }: BenchResult): string {
  if (broken.length === 0) return "Nothing was lost or doubled, and no limit broken.";
  return `**Void**: ${broken.join("; ")}.`;
}

function runText(result: BenchResult): string {
  const { at, commit, rounds, machine, versions, loadBefore, tookMs, settings } = result;
  const words = (record: Record<string, string | number>) =>
    Object.entries(record)
      .map(([name, value]) => `${name} ${value}`)
      .join(", ");
  return (
    `Run ${at.slice(0, 16).replace("T", " ")} UTC, commit ${commit}, ${rounds} rounds, ` +
    `${Math.round(tookMs / 1_000)} s, load average before it ${loadBefore}. ` +
    `${machine.cpus} CPUs, ${machine.memoryGb} GB, ${machine.kernel}; ${words(versions)}. ` +
    `Settings: ${words(settings)}.`
  );
}
