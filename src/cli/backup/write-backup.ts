import { createWriteStream, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import type { Config } from "../../config.ts";
import { syncPath } from "../../runtime/durable-file.ts";
import { readServerFile } from "../../server/server-file.ts";
import { FolderInUseError, lockFolder } from "../../store/folder-lock.ts";
import { version } from "../../version.ts";
import { operator } from "../operator.ts";
import { connectHere } from "../remote/connect.ts";
import {
  type ArchiveFile,
  archiveFormat,
  archiveVersion,
  type Manifest,
  packArchive,
} from "./archive.ts";
import { BackupError, wordsOfFault } from "./backup-error.ts";

export interface BackupOptions {
  /** Where to; must not exist. */
  file: string;
  withSecrets: boolean;
  withCaptured: boolean;
  /** Told how much of all bytes is packed. */
  onProgress: (doneBytes: number, allBytes: number) => void;
}

export interface BackupReport {
  file: string;
  /** Of what was packed, and of the archive. */
  bytes: number;
  size_bytes: number;
  files: number;
  has_secrets: boolean;
  /** For how long the server had to wait; null: none was running. */
  held_ms: number | null;
}

/** Packs the embedded database as of one moment, beside a running server or without one. */
export async function writeBackup(config: Config, options: BackupOptions): Promise<BackupReport> {
  const { dataDir } = config;
  if (!existsSync(join(dataDir, "database", "PG_VERSION"))) {
    throw new BackupError(`there is no embedded database in ${dataDir}`);
  }
  if (existsSync(options.file)) throw new BackupError(`${options.file} exists already`);
  const source = await openSource(config);
  try {
    const files = filesOf(dataDir, source.folder, options);
    const hasSecrets = files.some(({ name }) => name === "secrets.json");
    const manifest: Manifest = {
      ...{ format: archiveFormat, version: archiveVersion, program: version },
      made_at: new Date().toISOString(),
      postgres: readFileSync(join(source.folder, "PG_VERSION"), "utf8").trim(),
      has_secrets: hasSecrets,
    };
    const bytes = sizeOf(files);
    let done = 0;
    const packed = packArchive(manifest, files, (count) => {
      done += count;
      options.onProgress(Math.min(done, bytes), bytes);
    });
    await writeWhole(options.file, packed);
    const { heldMs: held_ms } = source;
    const size_bytes = statSync(options.file).size;
    const count = files.filter(({ content }) => content !== null).length;
    return {
      file: options.file,
      bytes,
      size_bytes,
      files: count,
      has_secrets: hasSecrets,
      held_ms,
    };
  } finally {
    await source.close();
  }
}

interface Source {
  folder: string;
  heldMs: number | null;
  close(): Promise<void> | void;
}

/** The database itself while nobody has it; else a copy that the server makes of it. */
async function openSource(config: Config): Promise<Source> {
  const { dataDir } = config;
  try {
    const lock = lockFolder(dataDir);
    return { folder: join(dataDir, "database"), heldMs: null, close: () => lock.release() };
  } catch (error) {
    if (!(error instanceof FolderInUseError)) throw error;
    const server = readServerFile(dataDir);
    if (server === null) throw error;
    const mailer = connectHere(config, server.url, operator, { timeoutMs: copyTimeoutMs });
    const { data } = await mailer.copyDatabase();
    const folder = join(dataDir, data.folder);
    return {
      folder,
      heldMs: data.held_ms,
      close: () => rm(folder, { recursive: true, force: true }),
    };
  }
}

/** Gigabytes on a slow disk. */
const copyTimeoutMs = 15 * 60_000;

/** In an order that does not depend on the file system. */
function filesOf(dataDir: string, folder: string, options: BackupOptions): ArchiveFile[] {
  const files: ArchiveFile[] = [];
  const secrets = join(dataDir, "secrets.json");
  if (options.withSecrets && existsSync(secrets)) {
    files.push({ name: "secrets.json", content: readFileSync(secrets) });
  }
  const captured = join(dataDir, "captured");
  if (options.withCaptured && existsSync(captured)) {
    const names = readdirSync(captured).filter((name) => /^[\w-]+\.(eml|json)$/.test(name));
    for (const name of names.sort()) {
      files.push({ name: `captured/${name}`, content: { path: join(captured, name) } });
    }
  }
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" }).sort()) {
    const path = join(folder, name);
    if (name === "postmaster.pid") continue;
    const content = statSync(path).isDirectory() ? null : { path };
    files.push({ name: `database/${name}`, content });
  }
  return files;
}

function sizeOf(files: readonly ArchiveFile[]): number {
  const sizes = files.map(({ content }) => {
    if (content === null) return 0;
    return content instanceof Uint8Array ? content.length : statSync(content.path).size;
  });
  return sizes.reduce((total, each) => total + each, 0);
}

/** Beside its place, synced, then renamed: what bears the name is whole, whatever happens. */
async function writeWhole(path: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  const unfinished = `${path}.unfinished`;
  try {
    const to = createWriteStream(unfinished, { mode: 0o600 });
    await pipeline(Readable.from(bytes, { objectMode: false }), createGzip({ level: 6 }), to);
    await syncPath(unfinished);
    await rename(unfinished, path);
    await syncPath(dirname(path));
  } catch (error) {
    await rm(unfinished, { force: true });
    throw wordsOfFault(error, path, "Nothing was left there.");
  }
}
