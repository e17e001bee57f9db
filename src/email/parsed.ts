/** What a parser of input makes of it: a value, or a sentence on what was expected and what came. */
export type Parsed<T> = { value: T } | { fault: string };

export function isFault<T>(parsed: Parsed<T>): parsed is { fault: string } {
  return "fault" in parsed;
}
