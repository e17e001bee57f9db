const shownCharactersMax = 60;

/**
 * Format characters turn text around or hide in it, separators break lines or look like a space;
 * half a pair is none.
 */
const unsafe = /(?! )[\p{Cc}\p{Cf}\p{Z}\p{Cs}\p{Default_Ignorable_Code_Point}]/gu;

/** What came, as a fault may show it: text quoted, cut and on one line, all else by its kind. */
export function quoteInput(input: unknown): string {
  if (typeof input === "string") return quoteText(input);
  if (input === undefined) return "nothing";
  if (Array.isArray(input)) return `a list of ${input.length}`;
  if (typeof input === "object" && input !== null) return "an object";
  return String(input).slice(0, shownCharactersMax);
}

function quoteText(text: string): string {
  const isLong = text.length > shownCharactersMax;
  const shown = isLong ? text.slice(0, shownCharactersMax) : text;
  const quoted = JSON.stringify(shown).replace(unsafe, escaped);
  return isLong ? `${quoted.slice(0, -1)}…" (${text.length} characters)` : quoted;
}

function escaped(character: string): string {
  return Array.from({ length: character.length }, (_, index) => {
    return `\\u${character.charCodeAt(index).toString(16).padStart(4, "0")}`;
  }).join("");
}
