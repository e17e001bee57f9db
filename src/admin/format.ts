/** `512 B`, `3.4 kB`, `12 MB`; decimal units, as mail programs show them. */
export function shownSize(sizeBytes: number): string {
  if (sizeBytes < 1000) return `${sizeBytes} B`;
  const [size, unit] = sizeBytes < 1_000_000 ? [sizeBytes / 1e3, "kB"] : [sizeBytes / 1e6, "MB"];
  return `${size < 10 ? size.toFixed(1) : Math.round(size)} ${unit}`;
}

/** In UTC; the browser turns it into the reader's own time where it may. */
export function shownTime(at: Date): string {
  return `${at.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}
