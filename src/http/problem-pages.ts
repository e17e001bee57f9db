import type { ErrorCode } from "../errors.ts";
import { problemExample } from "./openapi/failures.ts";
import { problems } from "./problem.ts";
import { problemGuides } from "./problem-guides.ts";

/** One page in Markdown; `path` is below `/docs/`. */
export interface ProblemPage {
  path: string;
  text: string;
}

const codes = Object.keys(problems) as ErrorCode[];

/** The list of all codes. */
export const problemsIndex: ProblemPage = {
  path: "problems",
  text: [
    "# Problems",
    "",
    "A request that fails is answered with a problem (RFC 9457). Programs branch on `code`, which",
    "never changes; `type` is the address of the code's page; `detail` says what is wrong here;",
    "`errors` names each faulty place of the request; `request_id` finds it in the log.",
    "",
    "| status | code | title |",
    "|---|---|---|",
    ...codes
      .toSorted((a, b) => problems[a].status - problems[b].status)
      .map((code) => `| ${problems[code].status} | ${linkTo(code)} | ${problems[code].title} |`),
    "",
  ].join("\n"),
};

/** One page for each code, where `type` leads. */
export const problemPages: readonly ProblemPage[] = codes.map((code) => ({
  path: `problems/${code}`,
  text: textOf(code),
}));

function linkTo(code: ErrorCode): string {
  return `[\`${code}\`](problems/${code}.md)`;
}

function textOf(code: ErrorCode): string {
  const { status, title } = problems[code];
  const { means, when, remedy } = problemGuides[code];
  return [
    `# ${title}`,
    "",
    `HTTP ${status}, code \`${code}\`. [All problems](../problems.md)`,
    "",
    "## What it means",
    "",
    means,
    "",
    "## When it comes",
    "",
    when,
    "",
    "## What to do",
    "",
    remedy,
    "",
    "## Example",
    "",
    "```json",
    JSON.stringify(problemExample(code).value, null, 2),
    "```",
    "",
  ].join("\n");
}
