import { readFileSync } from "node:fs";
import { parse } from "dotenv";

/** What a file of variables says, and which of its lines may not mean what they seem to. */
export interface Dotenv {
  readonly values: Readonly<Record<string, string>>;
  readonly doubts: readonly { readonly name: string; readonly sentence: string }[];
}

/** A line as dotenv 17.4.2 reads it, with what it takes for a comment. */
const line =
  /^\s*(?:export\s+)?([\w.-]+)(?:\s*=\s*?|:\s+?)(\s*'(?:\\'|[^'])*'|\s*"(?:\\"|[^"])*"|\s*`(?:\\`|[^`])*`|[^#\r\n]+)?(\s*(?:#.*)?)$/gm;

const advice = "put the value in 'single quotes'";

/**
 * Reads `.env` by the rules of the dotenv package: nothing is expanded, a `#` outside quotes begins
 * a comment. Docker Compose and Bun read some lines in another way, and a password that is silently
 * another one is not found for hours: such lines are doubts.
 */
export function readDotenv(text: string): Dotenv {
  const lines = text.replace(/\r\n?/g, "\n").matchAll(line);
  const doubts = [...lines].flatMap(([, name = "", value = "", rest = ""]) => {
    const sentence = doubtOf(value, rest);
    return sentence === null ? [] : [{ name, sentence: `${name} in .env ${sentence}` }];
  });
  return { values: parse(text), doubts };
}

function doubtOf(value: string, rest: string): string | null {
  const quote = /^\s*(['"`])[\s\S]*\1\s*$/.exec(value)?.[1];
  if (quote !== undefined) {
    if (value.includes("\n")) return "has several lines: is a quote missing?";
    return quote === '"' && isExpandable(value) ? notExpanded : null;
  }
  if (rest.startsWith("#") && !/\s$/.test(value)) {
    return `is cut at a #, which begins a comment: ${advice} if the # belongs to it`;
  }
  return isExpandable(value) ? notExpanded : null;
}

const notExpanded = `holds a $, which is taken as it is; Docker Compose would replace it: ${advice}`;

function isExpandable(value: string): boolean {
  return /\$[\w${(]/.test(value);
}

/** Null: there is none. */
export function readDotenvFile(path: string): Dotenv | null {
  try {
    return readDotenv(readFileSync(path, "utf8"));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unreadable";
    if (code === "ENOENT") return null;
    return { values: {}, doubts: [{ name: "", sentence: `.env cannot be read (${code})` }] };
  }
}
