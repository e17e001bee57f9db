/** What shows nothing or looks like a space, but for the space itself. */
const invisible = /(?! )[\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\p{Z}]/u;

/**
 * The first invisible character of a text by its code point and its place, counted from 1:
 * `U+200B at 1`; null: it has none. Pasted text brings them along, and nobody finds them.
 */
export function invisibleIn(text: string): string | null {
  const found = invisible.exec(text);
  if (!found) return null;
  const code = (found[0].codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
  return `U+${code} at ${[...text.slice(0, found.index)].length + 1}`;
}
