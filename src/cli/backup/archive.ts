import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { tarEnd, tarHeader, tarPadding } from "../../runtime/tar.ts";

/**
 * A backup is a `.tar.gz`: `manifest.json` first, then the files, and `SHA256SUMS` last, so that one
 * that was cut off or changed is told from a whole one. Any tar unpacks it, too.
 */
export const archiveFormat = "taskforce-mailer-backup";
export const archiveVersion = 1;
export const manifestName = "manifest.json";
export const sumsName = "SHA256SUMS";

export interface Manifest {
  format: typeof archiveFormat;
  version: number;
  made_at: string;
  /** Of the program that made it. */
  program: string;
  /** Major version of the PostgreSQL whose files these are. */
  postgres: string;
  /** Whether the generated secrets are in it. */
  has_secrets: boolean;
}

export interface ArchiveFile {
  /** In the archive; `/` separates folders. */
  name: string;
  /** Where it lies, or what it holds; null: an empty folder. */
  content: { path: string } | Uint8Array | null;
}

/** The bytes of the tar; `onBytes` is told how far it is. */
export async function* packArchive(
  manifest: Manifest,
  files: readonly ArchiveFile[],
  onBytes: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const sums: string[] = [];
  const text = (value: string) => new TextEncoder().encode(value);
  const first = { name: manifestName, content: text(`${JSON.stringify(manifest, null, 2)}\n`) };
  for (const file of [first, ...files]) yield* packFile(file, sums, onBytes);
  yield* packFile({ name: sumsName, content: text(sums.join("")) }, [], onBytes);
  yield tarEnd;
}

async function* packFile(
  { name, content }: ArchiveFile,
  sums: string[],
  onBytes: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (content === null) {
    yield tarHeader(name, 0, true);
    return;
  }
  const sizeBytes =
    content instanceof Uint8Array ? content.length : (await stat(content.path)).size;
  const hash = new Bun.CryptoHasher("sha256");
  yield tarHeader(name, sizeBytes, false);
  let packed = 0;
  for await (const part of partsOf(content, sizeBytes)) {
    hash.update(part);
    packed += part.length;
    onBytes(part.length);
    yield part;
  }
  if (packed !== sizeBytes) throw new Error(`${name} became shorter while it was read`);
  yield tarPadding(sizeBytes);
  sums.push(`${hash.digest("hex")}  ${name}\n`);
}

/** A file that grows meanwhile is taken as long as it was. */
function partsOf(content: { path: string } | Uint8Array, sizeBytes: number) {
  if (content instanceof Uint8Array) return [content];
  if (sizeBytes === 0) return [];
  const stream = createReadStream(content.path, { end: sizeBytes - 1, highWaterMark: 1024 * 1024 });
  return stream as AsyncIterable<Buffer>;
}
