/** Names are the caller's: a pointer stops above one that is longer than any of ours could be. */
const nameLengthMax = 300;

/** RFC 6901: `~` and `/` in names are written `~0` and `~1`. */
export function pointerTo(base: string, path: readonly PropertyKey[]): string {
  const cut = path.findIndex((part) => String(part).length > nameLengthMax);
  const shown = cut < 0 ? path : path.slice(0, cut);
  return shown.reduce<string>((pointer, part) => {
    return `${pointer}/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`;
  }, base);
}
