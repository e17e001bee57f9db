/** RFC 6901: `~` and `/` in names are written `~0` and `~1`. */
export function pointerTo(base: string, path: readonly PropertyKey[]): string {
  return path.reduce<string>((pointer, part) => {
    return `${pointer}/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`;
  }, base);
}
