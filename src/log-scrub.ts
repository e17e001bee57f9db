/** An error as a log may show it. */
export interface ScrubbedError {
  name: string;
  code?: string;
  message: string;
  /** Frames only: the first lines of a stack repeat the message. */
  stack?: string;
  cause?: ScrubbedError;
}

const shownCharactersMax = 300;
/** Bounds the work below, some of which grows with the square of the length. */
const readCharactersMax = 2000;

const replacements: readonly [RegExp, string][] = [
  // Credentials in URLs; then what follows a question mark, where one-time codes travel.
  [/\/\/[^/\s]*@/g, "//"],
  [/([a-z][\w+.-]*:\/\/[^\s?#]*|(?:^|\s)\/[^\s?#]*)[?#]\S*/g, "$1"],
  [/("[^"\n]*"|[^\s<>"(),;:]+)@[^\s<>"'(),;]+/g, "[address]"],
  [/\beyJ[\w-]+(\.[\w-]+)*/g, "[token]"],
  [/\b(tfm|whsec)_\S+/g, "[token]"],
  [/\bBearer\s+\S+/gi, "[token]"],
  // Keys: hex, and base64 by its mixture of letters and digits (paths seldom have all three).
  [/\b[0-9a-f]{32,}\b/gi, "[redacted]"],
  [/(?=[\w+/=-]*\d)(?=[\w+/=-]*[A-Z])(?=[\w+/=-]*[a-z])[\w+/=-]{40,}/g, "[redacted]"],
  [/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " "],
];

/** Nothing above matches such a text, and most of what is logged is one: an id, a route, a word. */
const harmless = /^(?:[a-z0-9./:-]{0,31}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** One line without anything that looks like an address, a token, a key or a credential. */
export function scrubbedText(text: string): string {
  return harmless.test(text) ? text : scrub(text);
}

/** The same for a phrase of the program's own, of which there are not many. */
export function scrubbedPhrase(phrase: string): string {
  const known = phrases.get(phrase);
  if (known !== undefined) return known;
  const scrubbed = scrub(phrase);
  if (phrases.size < phrasesMax) phrases.set(phrase, scrubbed);
  return scrubbed;
}

const phrasesMax = 500;
const phrases = new Map<string, string>();

function scrub(text: string): string {
  const isLong = text.length > readCharactersMax;
  // Half an address at the cut would no longer look like one.
  const read = isLong ? text.slice(0, readCharactersMax).replace(/\S*$/, "") : text;
  const scrubbed = replacements.reduce((rest, [pattern, by]) => rest.replace(pattern, by), read);
  return scrubbed.length > shownCharactersMax
    ? `${scrubbed.slice(0, shownCharactersMax)}…`
    : scrubbed;
}

/** Follows `cause` three levels deep. Other properties of errors quote input and are left out. */
export function scrubbedError(error: unknown, depth = 0): ScrubbedError {
  if (!(error instanceof Error)) return { name: "NonError", message: `a thrown ${typeof error}` };
  const { code } = error as { code?: unknown };
  return {
    name: scrubbedText(error.name),
    ...(typeof code === "string" || typeof code === "number"
      ? { code: scrubbedText(`${code}`) }
      : {}),
    // A parser's message quotes the text it failed on.
    message: error instanceof SyntaxError ? "[withheld]" : scrubbedText(error.message),
    ...(depth === 0 ? framesOf(error) : {}),
    ...(error.cause !== undefined && depth < 3
      ? { cause: scrubbedError(error.cause, depth + 1) }
      : {}),
  };
}

/** A message may contain lines that begin like frames: only those after it count. */
function framesOf(error: Error): { stack?: string } {
  const stack = error.stack ?? "";
  const rest = stack.slice(stack.indexOf(error.message) + error.message.length);
  const frames = rest.split("\n").filter((line) => /^\s+at .*:\d+/.test(line));
  return frames.length === 0
    ? {}
    : {
        stack: frames
          .slice(0, 8)
          .map((line) => line.trim())
          .join(" | "),
      };
}
