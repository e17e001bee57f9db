/** Memory for what is written and read within one synchronous call, and used again by the next. */
export interface Scratch {
  /** A text in UTF-8; half a surrogate pair becomes U+FFFD. */
  write(text: string): Buffer;
  /** Room for so many bytes, with anything in it. */
  take(bytes: number): Buffer;
  /** The same bytes where they stay. */
  keep(part: Buffer): Buffer;
  /** All that was given out is void. */
  clear(): void;
}

const utf8BytesPerUnit = 3;

/**
 * Some ten kilobytes for each email, allocated and freed a thousand times a second, take longer
 * than writing into them. What does not fit is allocated as ever.
 */
export function createScratch(bytes: number): Scratch {
  const memory = Buffer.allocUnsafeSlow(bytes);
  let used = 0;
  const part = (size: number) => {
    used += size;
    return memory.subarray(used - size, used);
  };
  return {
    write(text) {
      if (text.length * utf8BytesPerUnit > bytes - used) return Buffer.from(text, "utf8");
      return part(memory.write(text, used, "utf8"));
    },
    take: (size) => (size > bytes - used ? Buffer.allocUnsafe(size) : part(size)),
    keep: (given) => (given.buffer === memory.buffer ? Buffer.from(given) : given),
    clear() {
      used = 0;
    },
  };
}
