/** ustar as far as a database's folder needs it: files and folders with short names, no times. */

const block = 512;
/** Everything a tar ends with. */
export const tarEnd: Uint8Array = new Uint8Array(2 * block);

/** Times are left at zero on purpose: the same content makes the same bytes. */
export function tarHeader(name: string, sizeBytes: number, isFolder: boolean): Uint8Array {
  if (Buffer.byteLength(name) > 99) throw new Error(`name too long for a tar: ${name}`);
  const header = Buffer.alloc(block);
  header.write(name, 0);
  header.write(isFolder ? "0000700\0" : "0000600\0", 100);
  header.write("0000000\x000000000\0", 108);
  header.write(`${sizeBytes.toString(8).padStart(11, "0")}\0`, 124);
  header.write("00000000000\0        ", 136);
  header.write(isFolder ? "5" : "0", 156);
  header.write("ustar", 257);
  header.write("00", 263);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return header;
}

/** What follows a file's content up to the next header. */
export function tarPadding(sizeBytes: number): Uint8Array {
  return new Uint8Array((block - (sizeBytes % block)) % block);
}

/** One entry as it comes; its content must be read before the next entry is asked for. */
export interface TarEntry {
  name: string;
  isFolder: boolean;
  sizeBytes: number;
  content: AsyncGenerator<Uint8Array, void, undefined>;
}

/** The bytes are no tar that we write, or end too early; the message says which. */
export class TarError extends Error {
  override name = "TarError";
}

/** Reads a tar of any size without holding more than a piece of it. Throws `TarError`. */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry> {
  const reader = createReader(source);
  for (;;) {
    const header = await reader.take(block);
    if (header.every((byte) => byte === 0)) return await reader.drain();
    const entry = parseHeader(header);
    let isRead = false;
    async function* content() {
      for (let left = entry.sizeBytes; left > 0; ) {
        const part = await reader.takeUpTo(left);
        left -= part.length;
        yield part;
      }
      await reader.take(tarPadding(entry.sizeBytes).length);
      isRead = true;
    }
    yield { ...entry, content: content() };
    if (!isRead) throw new Error(`the content of ${entry.name} was not read`);
  }
}

function parseHeader(header: Buffer): Pick<TarEntry, "name" | "isFolder" | "sizeBytes"> {
  const kept = Number.parseInt(textAt(header, 148, 8), 8);
  const unsigned = Buffer.from(header).fill(" ", 148, 156);
  if (kept !== unsigned.reduce((total, byte) => total + byte, 0)) {
    throw new TarError("a header does not add up");
  }
  const kind = textAt(header, 156, 1);
  const sizeBytes = Number.parseInt(textAt(header, 124, 12), 8);
  if ((kind !== "0" && kind !== "5") || !Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
    throw new TarError("it holds what is neither a file nor a folder");
  }
  return { name: textAt(header, 0, 100), isFolder: kind === "5", sizeBytes };
}

function createReader(source: AsyncIterable<Uint8Array>) {
  const parts = source[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array();

  async function takeUpTo(bytesMax: number): Promise<Uint8Array> {
    while (rest.length === 0) {
      const next = await parts.next();
      if (next.done === true) throw new TarError("it ends too early");
      rest = next.value;
    }
    const part = rest.subarray(0, bytesMax);
    rest = rest.subarray(part.length);
    return part;
  }

  return {
    takeUpTo,
    /** To the end of the source, which may tell only there that it is not whole. */
    async drain(): Promise<void> {
      for (let next = await parts.next(); next.done !== true; ) next = await parts.next();
    },
    async take(bytes: number): Promise<Buffer> {
      const taken = Buffer.alloc(bytes);
      for (let at = 0; at < bytes; ) {
        const part = await takeUpTo(bytes - at);
        taken.set(part, at);
        at += part.length;
      }
      return taken;
    },
  };
}

function textAt(bytes: Buffer, at: number, length: number): string {
  const text = bytes.toString("latin1", at, at + length);
  const end = text.indexOf("\0");
  return (end < 0 ? text : text.slice(0, end)).trimEnd();
}
