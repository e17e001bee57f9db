/** One unit of each class of character a parser may be slow on; some look like what it takes. */
export const characterClasses: Record<string, string> = {
  spaces: " ",
  tabs: "\t",
  "angle brackets": "<",
  quotes: '"',
  parentheses: "(",
  "at signs": "@",
  dots: ".",
  commas: ",",
  semicolons: ";",
  percents: "%",
  equals: "=",
  "encoded words": "=?",
  slashes: "/",
  backslashes: "\\",
  colons: ":",
  digits: "1",
  letters: "a",
  NUL: "\0",
  "control characters": "\x1f",
  emoji: "😀",
  "combining marks": "\u0301",
  "half pairs": "\ud800",
  words: "a ",
  "parts of names": "a.",
  hyphens: "-",
};

/** As many repetitions as make `bytes` of JSON; alone, and before what no rule expects there. */
export function longTexts(unit: string, bytes: number): string[] {
  const text = unit.repeat(Math.floor(bytes / (JSON.stringify(unit).length - 2)));
  return [text, `x${text}x`, `a@b.example${text}\n`];
}

type JsonSchema = {
  type?: string | string[];
  properties?: Record<string, JsonSchema>;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  additionalProperties?: JsonSchema | boolean;
};

/**
 * Every value of this schema that is sound in form but for one text in one place, which is `text`:
 * each field, each part of it, each name that a caller chooses. `text` itself comes first.
 */
export function textPlaces(schema: JsonSchema, text: string): unknown[] {
  const places: unknown[] = [text];
  for (const [name, part] of Object.entries(schema.properties ?? {})) {
    for (const value of textPlaces(part, text)) places.push({ [name]: value });
  }
  if (schema.items) places.push(...textPlaces(schema.items, text).map((value) => [value]));
  for (const one of schema.anyOf ?? []) places.push(...textPlaces(one, text).slice(1));
  const takesNames = schema.additionalProperties;
  if (takesNames) {
    places.push({ [text]: "x" }, { [text]: text });
    const part = takesNames === true ? {} : takesNames;
    for (const value of textPlaces(part, text)) places.push({ "X-Note": value });
  }
  return places;
}
