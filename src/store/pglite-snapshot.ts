import { createHash, randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { syncPath } from "../runtime/durable-file.ts";
import { tarEnd, tarHeader, tarPadding } from "../runtime/tar.ts";
import { MIGRATIONS } from "./migrations.ts";

/**
 * A snapshot is the folder of a migrated and cleanly closed database as a `.tar.gz`: unpacking
 * it takes a fraction of a second, where initdb and the migrations take six. It holds no
 * secret and nothing that must differ between installations.
 */

const BLOCK = 512;

/** The snapshot carried by the compiled binary, or null when there is none. */
export async function embeddedSnapshot(): Promise<Uint8Array | null> {
  // `bun build --compile` puts a hash into the name: pglite-snapshot.tar-<hash>.gz.
  const file = Bun.embeddedFiles.find((each) => nameOf(each).includes("pglite-snapshot"));
  return file === undefined ? null : new Uint8Array(await file.arrayBuffer());
}

function nameOf(file: Blob): string {
  return "name" in file && typeof file.name === "string" ? file.name : "";
}

/** Where a program run from its sources keeps the snapshot it had to make; by its migrations. */
export function cachedSnapshotPath(cacheDir: string): string {
  const hash = createHash("sha256");
  for (const { version, sql } of MIGRATIONS) hash.update(version).update(sql);
  return join(cacheDir, `pglite-snapshot-${hash.digest("hex").slice(0, 16)}.tar.gz`);
}

/** Null when there is none, or when somebody else could have put it there. */
export function readCachedSnapshot(cacheDir: string): Uint8Array | null {
  try {
    const path = cachedSnapshotPath(cacheDir);
    return isOursAlone(cacheDir) && isOursAlone(path) ? readFileSync(path) : null;
  } catch {
    // Not there, or not readable: then it is made anew.
    return null;
  }
}

/** Best effort: without a cache the next first start is slow again, nothing more. */
export function writeCachedSnapshot(cacheDir: string, snapshot: Uint8Array): void {
  try {
    mkdirSync(cacheDir, { recursive: true, mode: 0o700 });
    if (!isOursAlone(cacheDir)) return;
    const unfinished = join(cacheDir, `.${randomUUID()}`);
    writeFileSync(unfinished, snapshot, { mode: 0o600 });
    renameSync(unfinished, cachedSnapshotPath(cacheDir));
  } catch {
    // A folder that cannot be written to has no cache.
  }
}

function isOursAlone(path: string): boolean {
  const { uid, mode } = statSync(path);
  return uid === process.getuid?.() && (mode & 0o022) === 0;
}

/** Packs the folder of a closed database. */
export function packSnapshot(folder: string): Uint8Array {
  const blocks: Uint8Array[] = [];
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" }).sort()) {
    if (name === "postmaster.pid") continue;
    const path = join(folder, name);
    const isFolder = statSync(path).isDirectory();
    const content = isFolder ? new Uint8Array() : readFileSync(path);
    blocks.push(tarHeader(name, content.length, isFolder), content);
    blocks.push(tarPadding(content.length));
  }
  return gzipSync(Buffer.concat([...blocks, tarEnd]), { level: 9 });
}

/**
 * Unpacks into a folder that does not exist yet, and returns the names of all it made, relative
 * to it. Nothing is synced: that is `syncUnpacked`'s, and may go on while the database starts.
 */
export async function unpackSnapshot(snapshot: Uint8Array, folder: string): Promise<string[]> {
  const tar = gunzipSync(snapshot);
  const folders = new Set([folder]);
  const files: [path: string, content: Uint8Array][] = [];
  for (let at = 0; at + BLOCK <= tar.length && tar[at] !== 0; ) {
    const name = textAt(tar, at, 100);
    const sizeBytes = Number.parseInt(textAt(tar, at + 124, 12), 8);
    const path = join(folder, name);
    if (textAt(tar, at + 156, 1) === "5") folders.add(path);
    else files.push([path, tar.subarray(at + BLOCK, at + BLOCK + sizeBytes)]);
    at += BLOCK + Math.ceil(sizeBytes / BLOCK) * BLOCK;
  }
  for (const path of folders) await mkdir(path, { recursive: true, mode: 0o700 });
  await Promise.all(files.map(([path, content]) => writeFile(path, content, { mode: 0o600 })));
  return [...files.map(([path]) => path), ...folders].map((path) => relative(folder, path));
}

/** Syncs what `unpackSnapshot` named, wherever it lies now, to the disk. */
export async function syncUnpacked(names: readonly string[], folder: string): Promise<void> {
  await Promise.all(names.map((name) => syncIfThere(join(folder, name))));
}

function textAt(bytes: Buffer, at: number, length: number): string {
  const text = bytes.toString("latin1", at, at + length);
  const end = text.indexOf("\0");
  return end < 0 ? text : text.slice(0, end);
}

/** A database that runs already may have done away with a file: then it needs none. */
async function syncIfThere(path: string): Promise<void> {
  try {
    await syncPath(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
