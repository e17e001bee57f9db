import type { Context, Hono } from "hono";
import { titleOf } from "./docs-routes.tsx";
import type { DocsPage, DocsSection } from "./docs-sections.ts";

const about =
  "Self-hosted email scheduling: hand over an email now over HTTP, it goes out over SMTP at its " +
  "time, once.";

/**
 * GET /llms.txt: every listed page with a line about it, as https://llmstxt.org has it. `baseUrl`
 * is the address under which the caller reaches us.
 */
export function mountLlmsText(
  app: Hono,
  sections: readonly DocsSection[],
  baseUrl: (c: Context) => string,
): void {
  app.get("/llms.txt", (c) => {
    const headers = { "Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-cache" };
    return c.body(llmsText(sections, baseUrl(c)), 200, headers);
  });
}

function llmsText(sections: readonly DocsSection[], base: string): string {
  const listed = sections.flatMap(({ title, pages }) =>
    title === null ? [] : [`## ${title}`, "", ...pages.map((page) => lineOf(page, base)), ""],
  );
  const machine = `- [OpenAPI 3.1](${base}/openapi.json): every operation, schema and error code.`;
  return [
    "# Taskforce Mailer",
    "",
    `> ${about}`,
    "",
    ...listed,
    "## Optional",
    "",
    machine,
    "",
  ].join("\n");
}

function lineOf(page: DocsPage, base: string): string {
  const about = firstSentence(page.text);
  return `- [${titleOf(page)}](${base}/docs/${page.path}.md)${about === "" ? "" : `: ${about}`}`;
}

/** What the page says of itself below its title, without links and marks; empty: nothing. */
function firstSentence(text: string): string {
  const [lead = ""] = text.replace(/^# .*\n/, "").split(/^(?:## |```|\||- )/m, 1);
  const plain = lead
    .replace(/\s+/g, " ")
    .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/[`*]/g, "")
    .trim();
  return /^.*?\.(?=\s|$)/.exec(plain)?.[0] ?? "";
}
