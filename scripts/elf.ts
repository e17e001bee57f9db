/** ELF (64 bit, little-endian), as far as it says on which systems a program runs. */

export interface Elf {
  /** `x86-64`, `aarch64`, or the number of another machine. */
  machine: string;
  /** The loader the kernel starts it with, which is of one libc; null for a static program. */
  interpreter: string | null;
  /** The shared libraries that it names (DT_NEEDED). */
  libraries: string[];
}

/** One entry of the program header table: which bytes of the file lie where in memory. */
interface Segment {
  type: number;
  offset: number;
  address: number;
  sizeBytes: number;
}

const machines: Readonly<Record<number, string>> = { 62: "x86-64", 183: "aarch64" };
const [load, dynamic, interp] = [1, 2, 3];
/** Tags of the dynamic section. */
const [needed, stringTable] = [1, 5];

/** Throws where the file is no ELF file, or ends before what its header names. */
export function readElf(bytes: Uint8Array): Elf {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 64 || view.getUint32(0) !== 0x7f454c46) throw new Error("no ELF file");
  if (bytes[4] !== 2 || bytes[5] !== 1) throw new Error("no 64-bit little-endian ELF file");
  const machine = view.getUint16(18, true);
  const segments = segmentsOf(view);
  const loader = segments.find(({ type }) => type === interp);
  return {
    machine: machines[machine] ?? String(machine),
    interpreter: loader === undefined ? null : textAt(bytes, loader.offset),
    libraries: librariesOf(view, bytes, segments),
  };
}

function segmentsOf(view: DataView): Segment[] {
  const at = word(view, 32);
  const sizeBytes = view.getUint16(54, true);
  return Array.from({ length: view.getUint16(56, true) }, (_, index) => {
    const entry = at + index * sizeBytes;
    return {
      type: view.getUint32(entry, true),
      offset: word(view, entry + 8),
      address: word(view, entry + 16),
      sizeBytes: word(view, entry + 32),
    };
  });
}

function librariesOf(view: DataView, bytes: Uint8Array, segments: readonly Segment[]): string[] {
  const section = segments.find(({ type }) => type === dynamic);
  if (section === undefined) return [];
  const tags: { tag: number; value: number }[] = [];
  for (let at = section.offset; at < section.offset + section.sizeBytes; at += 16) {
    const tag = word(view, at);
    // DT_NULL ends the list; the rest of the segment is padding.
    if (tag === 0) break;
    tags.push({ tag, value: word(view, at + 8) });
  }
  const strings = tags.find(({ tag }) => tag === stringTable)?.value ?? 0;
  const names = tags.filter(({ tag }) => tag === needed);
  return names.map(({ value }) => textAt(bytes, offsetOf(segments, strings + value)));
}

/** Where in the file the byte lies that is loaded to this address. */
function offsetOf(segments: readonly Segment[], address: number): number {
  const segment = segments.find(
    (one) => one.type === load && address >= one.address && address < one.address + one.sizeBytes,
  );
  if (segment === undefined) throw new Error(`no segment holds the address ${address}`);
  return segment.offset + address - segment.address;
}

function textAt(bytes: Uint8Array, offset: number): string {
  const end = bytes.indexOf(0, offset);
  if (offset >= bytes.length || end === -1) throw new Error("the file ends within a name");
  return new TextDecoder().decode(bytes.subarray(offset, end));
}

/**
 * A tag above 2^53 (DT_GNU_HASH and its like are 32-bit numbers) is none that is looked for, so that
 * a rounded one does no harm.
 */
function word(view: DataView, at: number): number {
  return Number(view.getBigUint64(at, true));
}
