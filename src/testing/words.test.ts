import { describe, expect, test } from "bun:test";
import { Glob } from "bun";

/**
 * Openings that make a reader search for the subject. A sentence names it first: "A client that
 * connects …", "Milliseconds until …", "The reply that …".
 */
const banned = ["Who", "Whoever", "So many", "So long", "So much", "Of a", "Of an", "Of one"];
const bannedTogether = [...banned, "What is", "What was", "What has"].join("|");
const opening = new RegExp(`(?:^|[.;:] )(?:${bannedTogether})\\b(?![^.;:]*\\?)`);
/** Words that are pictures where the field has a term. */
const picture = /\b(?:no ear for|passengers?|restraints)\b/i;

/** The comments of TypeScript and SQL, one string for each line, with the line's number. */
function commentLines(text: string): { at: number; line: string }[] {
  return text.split("\n").flatMap((raw, index) => {
    const comment = /^\s*(?:\/\/|\/\*\*?|\*|--) ?(.*?)(?:\*\/)?$/.exec(raw)?.[1];
    return comment === undefined ? [] : [{ at: index + 1, line: comment }];
  });
}

async function faultsOf(pattern: string): Promise<string[]> {
  const faults: string[] = [];
  for await (const path of new Glob(pattern).scan(".")) {
    if (path.endsWith("words.test.ts")) continue;
    for (const { at, line } of commentLines(await Bun.file(path).text())) {
      if (opening.test(line) || picture.test(line)) faults.push(`${path}:${at}: ${line}`);
    }
  }
  return faults;
}

test("so does every text that begins a string: errors, logs, pages, the reference", async () => {
  const faults: string[] = [];
  const text = new RegExp(`["\`>](?:${bannedTogether}) [a-z][^"\`?]*["\`.]`);
  for await (const path of new Glob("src/**/*.{ts,tsx}").scan(".")) {
    if (/\.(?:test|long)\.tsx?$|^src\/testing\//.test(path)) continue;
    for (const [index, line] of (await Bun.file(path).text()).split("\n").entries()) {
      if (!/^\s*(?:\/\/|\*)/.test(line) && text.test(line)) faults.push(`${path}:${index + 1}`);
    }
  }
  expect(faults).toEqual([]);
  expect(text.test('meta({ description: "What is odd about it." })')).toBe(true);
});

describe("every sentence of a comment names its subject first", () => {
  for (const pattern of [
    "src/**/*.ts",
    "src/**/*.tsx",
    "scripts/**/*.ts",
    "supabase/schemas/**/*.sql",
  ]) {
    test(pattern, async () => {
      expect(await faultsOf(pattern)).toEqual([]);
    });
  }

  test("the rule finds what it is for", () => {
    const lines = commentLines(
      "  // Whoever asks is told.\n * Sent. Of a flood nothing is kept.\n",
    );
    expect(lines.filter(({ line }) => opening.test(line))).toHaveLength(2);
    expect(opening.test("What is it? A question.")).toBe(false);
    expect(opening.test("The caller who asks is told.")).toBe(false);
  });
});
