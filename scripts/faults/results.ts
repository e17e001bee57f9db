import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import type { Scale } from "./fault.ts";
import type { Measures, Spread } from "./measure.ts";

/** What one run of one fault came to: a line of results.jsonl. */
export interface FaultResult extends Measures {
  fault: string;
  what: string;
  /** The fault's mark, when it was run with one: what broke then failed no run. */
  notYet?: string;
  scale: Scale;
  seed: number;
  at: string;
  /** Emails the product had acknowledged. */
  mails: number;
  cancelled: number;
  /** Holds, releases, PATCHes, replays and shreds that were answered 200; absent in old lines. */
  changed?: number;
  /** Kills, outages and other harms that were done. */
  harms: number;
  /** Emails, by the invariant they broke. */
  broken: Record<string, number>;
  /** Looks at what is held (I11); absent in runs recorded before it was watched. */
  heldLooks?: number;
  /** Limits of the fault that were missed, in words. */
  missed: string[];
  tookMs: number;
  commit: string;
  versions: { bun: string; postgres: string; redis: string };
  /** What else the machine was doing: its load average of the last minute when it began. */
  loadBefore: number;
  machine: { cpus: number; memoryGb: number; kernel: string };
}

export function machine(): FaultResult["machine"] {
  const memoryGb = Math.round(totalmem() / 1024 ** 3);
  return { cpus: cpus().length, memoryGb, kernel: `Linux ${release().split("-")[0]}` };
}

/** The commit under test, with a plus sign when the checkout differs from it. */
export function commitOf(root: string): string {
  const git = (...args: string[]) =>
    Bun.spawnSync(["git", "-C", root, ...args])
      .stdout.toString()
      .trim();
  const isChanged = git("status", "--porcelain", "--", "src", "supabase") !== "";
  return `${git("rev-parse", "--short=10", "HEAD")}${isChanged ? "+" : ""}`;
}

export function appendResult(file: string, result: object): void {
  appendFileSync(file, `${JSON.stringify(result)}\n`);
}

/** The newest line of each fault; one at full scale outranks small ones. */
export function newestResults(file: string): FaultResult[] {
  if (!existsSync(file)) return [];
  const newest = new Map<string, FaultResult>();
  for (const line of readFileSync(file, "utf8").split("\n").filter(Boolean)) {
    const result = JSON.parse(line) as FaultResult;
    const known = newest.get(result.fault);
    if (known?.scale === "full" && result.scale === "small") continue;
    newest.set(result.fault, result);
  }
  return [...newest.values()];
}

/** `appendix` follows the table: what was measured of others. */
export function renderResults(
  from: string,
  to: string,
  { order, appendix }: { order: string[]; appendix: string },
): void {
  const place = (fault: string) => (order.includes(fault) ? order.indexOf(fault) : order.length);
  const results = newestResults(from).toSorted((a, b) => place(a.fault) - place(b.fault));
  writeFileSync(to, `${page(results)}${appendix}`);
}

function page(results: FaultResult[]): string {
  const rows = results.map(tableRow);
  const runs = results.map(
    ({ fault, what, notYet, at, scale, seed, commit, harms, tookMs, loadBefore }) =>
      `- **${fault}**${markOf(notYet)}: ${what} Run ${at.slice(0, 16).replace("T", " ")} UTC, scale ${scale}, ` +
      `seed ${seed}, commit ${commit}, ${harms} harms, ` +
      `${Math.round(tookMs / 1000)} s, load average before it ${loadBefore}.`,
  );
  return `${intro}
${places(results)}

| fault | mails | lost | doubled | doubled, announced as uncertain | after a change | early | attempts outside policy | not at rest | held by nobody | uncertain attempts | recovery p50 / p99 | lateness p99 | beyond times of harm |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
${rows.join("\n")}

## The runs

${runs.join("\n")}
`;
}

const intro = `# What was lost, doubled or late, fault by fault

Rendered from [results.jsonl](results.jsonl) by \`scripts/faults/run --render\`; do not edit. How a
run works, what each column means and how to add a fault: [README.md](README.md).
`;

function places(results: FaultResult[]): string {
  const lines = new Set(
    results.map(
      ({ machine: { cpus: count, memoryGb, kernel }, versions }) =>
        `Measured on ${count} CPUs and ${memoryGb} GB, ${kernel}, Bun ${versions.bun}, ` +
        `PostgreSQL ${versions.postgres}, Redis ${versions.redis}; servers, next hop and load on ` +
        "the same machine.",
    ),
  );
  return [...lines].join("\n");
}

/** Behind a fault's name in the table, and in what a run prints. */
export function markOf(notYet: string | undefined): string {
  return notYet === undefined ? "" : ` (not yet: ${notYet})`;
}

function tableRow(result: FaultResult): string {
  const { broken } = result;
  const changed = result.cancelled + (result.changed ?? 0);
  const doubled = (broken.I3 ?? 0) + (broken.I4 ?? 0) + (broken.I6 ?? 0);
  const cells = [
    `${result.fault}${markOf(result.notYet)}`,
    result.mails,
    broken.I1 ?? 0,
    doubled,
    result.announcedCopies,
    changed > 0 ? `${broken.I2 ?? 0} of ${changed}` : (broken.I2 ?? 0),
    broken.I5 ?? 0,
    broken.I8 ?? 0,
    broken.I10 ?? 0,
    result.heldLooks === undefined ? "–" : (broken.I11 ?? 0),
    result.uncertain,
    result.recovery ? `${seconds(result.recovery.p50)} / ${seconds(result.recovery.p99)}` : "–",
    seconds(result.lateness?.p99 ?? 0),
    // Runs recorded before it was measured do not know it.
    result.latenessBeyondHarm ? seconds(result.latenessBeyondHarm.p99) : "–",
  ];
  return `| ${cells.join(" | ")} |`;
}

/** One line for a person who watches. */
export function summary(result: FaultResult): string {
  const broken = Object.entries(result.broken).map(([name, count]) => `${name} ×${count}`);
  const verdict = [...broken, ...result.missed].join("; ") || "all promises kept";
  const times = [
    result.recovery ? `recovery ${spreadText(result.recovery)}` : "",
    result.lateness ? `lateness ${spreadText(result.lateness)}` : "",
    result.othersLateness ? `others' lateness ${spreadText(result.othersLateness)}` : "",
    result.latenessBeyondHarm ? `beyond harm ${spreadText(result.latenessBeyondHarm)}` : "",
  ];
  return [
    `${result.mails} mails, ${result.harms} harms, ${result.announcedCopies} announced copies`,
    `${result.uncertain} uncertain`,
    ...times.filter(Boolean),
    `${Math.round(result.tookMs / 1000)} s`,
    verdict,
  ].join(" · ");
}

function spreadText({ p50, p99, max }: Spread): string {
  return `p50 ${seconds(p50)} p99 ${seconds(p99)} max ${seconds(max)}`;
}

function seconds(ms: number): string {
  return ms < 10_000 ? `${(ms / 1000).toFixed(2)} s` : `${(ms / 1000).toFixed(1)} s`;
}
