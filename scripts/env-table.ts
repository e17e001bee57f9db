#!/usr/bin/env bun
/**
 * Prints the table of environment variables; with `--write` puts it between the markers of the
 * pages that have it.
 */
import { configVariables } from "../src/config-variables.ts";

/** From the root of the repository. */
export const pagesWithTable = ["README.md", "public/docs/configuration.md"] as const;

const begin = "<!-- environment -->";
const end = "<!-- /environment -->";

/** The table in Markdown, one row per variable, without a trailing newline. */
export function environmentTable(): string {
  const rows = configVariables.map(({ name, default: fallback, meaning, isUnused }) => {
    const words = isUnused ? `${meaning}. *Not in use yet*` : meaning;
    return `| \`${name}\` | ${fallback} | ${words} |`;
  });
  return ["| variable | default | meaning |", "|---|---|---|", ...rows].join("\n");
}

/** What stands between the markers, or null when there are none. */
export function markedTable(page: string): string | null {
  const [, rest] = page.split(begin);
  return rest?.split(end)[0]?.trim() ?? null;
}

async function write(path: string): Promise<void> {
  const file = Bun.file(path);
  const [before, rest] = (await file.text()).split(begin);
  const after = rest?.split(end)[1];
  if (after === undefined) throw new Error(`${path} has no markers ${begin} … ${end}`);
  await Bun.write(path, `${before}${begin}\n${environmentTable()}\n${end}${after}`);
}

if (import.meta.main) {
  if (process.argv.includes("--write")) {
    for (const page of pagesWithTable) await write(`${import.meta.dirname}/../${page}`);
  } else {
    console.log(environmentTable());
  }
}
