import { existsSync, readFileSync } from "node:fs";
import type { TwinResult } from "./run-twin.ts";

/** The section of RESULTS.md about the twin; empty before it was ever recorded. */
export function twinTable(file: string): string {
  if (!existsSync(file)) return "";
  const newest = new Map<string, TwinResult>();
  for (const line of readFileSync(file, "utf8").split("\n").filter(Boolean)) {
    const result = JSON.parse(line) as TwinResult;
    const known = newest.get(result.fault);
    if (known?.scale === "full" && result.scale === "small") continue;
    newest.set(result.fault, result);
  }
  const results = [...newest.values()];
  return `${intro}
| fault | mails | lost | given up | doubled | after a cancel | early | lateness p99 |
|---|---|---|---|---|---|---|---|
${results.map(row).join("\n")}

${results.map(run).join("\n")}
`;
}

const intro = `
## The same faults, done to a naive twin

For contrast: a scheduler as tutorials and quick starts show it
([server.ts](naive-twin/server.ts)), on BullMQ and nodemailer at their
defaults, with \`attempts: 3\` and exponential back-off. It is not anybody's product, and it is not
made worse than its models. Only faults are here that can be done to it fairly; it has no database
to hurt, and promises nothing about duplicates, so none of its copies is announced. *Given up*:
never sent, and a failed job says so; *lost*: never sent, and nothing says so. Recipients are
counted, not mails. Rendered from [twin-results.jsonl](twin-results.jsonl).
`;

function row(result: TwinResult): string {
  const { lateness } = result;
  const cells = [
    result.fault,
    result.mails,
    result.lost,
    result.givenUp,
    result.doubled,
    result.cancelled > 0 ? `${result.sentAfterCancel} of ${result.cancelled}` : "–",
    result.early,
    lateness ? `${(lateness.p99 / 1000).toFixed(1)} s` : "–",
  ];
  return `| ${cells.join(" | ")} |`;
}

function run({ fault, what, at, scale, seed, harms, tookMs, restless }: TwinResult): string {
  const when = at.slice(0, 16).replace("T", " ");
  const left = restless ? ` It never came to rest: ${restless}.` : "";
  return (
    `- **${fault}**: ${what} Run ${when} UTC, scale ${scale}, seed ${seed}, ${harms} harms, ` +
    `${Math.round(tookMs / 1000)} s.${left}`
  );
}
