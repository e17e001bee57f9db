import type { Finding, FindingStatus } from "../../doctor/finding.ts";
import type { RoundJson } from "../../http/operations/reconcile-now.ts";
import type { CommandIo } from "../command.ts";

/** All that `doctor` has to say. `--json` prints it as it is. */
export interface DoctorReport {
  /** The worst of the checks. */
  status: FindingStatus;
  checks: Finding[];
  /** What one round of the reconciler found; null: not asked for, or it could not run. */
  fix: RoundJson | null;
  /** Address of the server that was asked; null: looked at from here. */
  server: string | null;
}

const words: Record<FindingStatus, { text: string; colour: number }> = {
  ok: { text: "ok", colour: 32 },
  warning: { text: "warning", colour: 33 },
  failed: { text: "failed", colour: 31 },
};

/** A line for each check, and beneath it what to do. */
export function printReport({ checks, fix, server }: DoctorReport, io: CommandIo): void {
  const isColoured = io.isTty && !io.env.NO_COLOR;
  const paint = (text: string, colour: number) =>
    isColoured ? `\x1b[${colour}m${text}\x1b[0m` : text;
  const width = Math.max(...checks.map(({ check }) => check.length));
  const lines = checks.flatMap(({ check, status, saw, advice }) => {
    const { text, colour } = words[status];
    const line = `${paint(text.padEnd(7), colour)}  ${check.padEnd(width)}  ${saw}`;
    return advice === null ? [line] : [line, `${" ".repeat(width + 11)}→ ${advice}`];
  });
  if (server !== null) lines.unshift(`Asked the running server at ${server}`, "");
  if (fix !== null) lines.push("", ...fixLines(fix));
  io.stdout.write(`${lines.join("\n")}\n`);
}

function fixLines(fix: RoundJson): string[] {
  const rows: [string, number][] = [
    ["processes found dead", fix.dead_workers],
    ["claims of theirs returned", fix.taken_over],
    ["of them fenced, now uncertain", fix.orphans_settled],
    ["held because they kill workers", fix.poison_held],
  ];
  const found = rows.filter(([, count]) => count > 0);
  if (found.length === 0) return ["Reconciled once: nothing was amiss."];
  return ["Reconciled once:", ...found.map(([what, count]) => `  ${count} ${what}`)];
}
