import {
  createReadStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
} from "node:fs";
import { mkdir, open, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createGunzip } from "node:zlib";
import { z } from "zod";
import { syncPath } from "../../runtime/durable-file.ts";
import { readTar, TarError } from "../../runtime/tar.ts";
import { FolderInUseError, lockFolder } from "../../store/folder-lock.ts";
import { restoredIdName } from "../../store/pglite-database.ts";
import { archiveFormat, archiveVersion, type Manifest, manifestName, sumsName } from "./archive.ts";
import { BackupError, wordsOfFault } from "./backup-error.ts";

export interface RestoreOptions {
  file: string;
  /** Must hold no database. */
  dataDir: string;
  /** Major version of the PostgreSQL in this program. */
  postgres: string;
  onProgress: (doneBytes: number) => void;
}

export interface RestoreReport {
  made_at: string;
  program: string;
  has_secrets: boolean;
  files: number;
  bytes: number;
}

const nothing = "Nothing was restored.";

/**
 * Unpacks a backup beside its place, verifies all of it, and only then moves it there. A fault, or a
 * kill, leaves DATA_DIR without a database, and another try begins anew. Throws `BackupError`.
 */
export async function readBackup(options: RestoreOptions): Promise<RestoreReport> {
  const { file, dataDir } = options;
  if (!existsSync(file)) throw new BackupError(`there is no file ${file}`);
  const lock = lockEmpty(dataDir);
  // A start of the server removes what bears such a name, too.
  const aside = join(dataDir, `database.tmp-restore-${crypto.randomUUID().slice(0, 8)}`);
  try {
    for (const name of readdirSync(dataDir)) {
      if (name.startsWith("database.tmp-")) await rm(join(dataDir, name), { recursive: true });
    }
    const { manifest, report } = await unpack(options, aside);
    assertSecrets(dataDir, aside);
    await putInPlace(dataDir, aside);
    const { made_at, program, has_secrets } = manifest;
    return { made_at, program, has_secrets, ...report };
  } catch (error) {
    throw wordsOfFault(damageOf(error, file), dataDir, nothing);
  } finally {
    await rm(aside, { recursive: true, force: true });
    lock.release();
  }
}

function lockEmpty(dataDir: string) {
  try {
    const lock = lockFolder(dataDir);
    if (
      !existsSync(join(dataDir, "database")) ||
      readdirSync(join(dataDir, "database")).length === 0
    )
      return lock;
    lock.release();
  } catch (error) {
    if (!(error instanceof FolderInUseError)) throw error;
    throw new BackupError(`${error.message} ${nothing}`);
  }
  throw new BackupError(
    `${dataDir} holds a database already: restore into an empty DATA_DIR, or move that one away. ` +
      nothing,
  );
}

/** Another installation's secrets beside this database would make its emails unreadable. */
function assertSecrets(dataDir: string, aside: string): void {
  const [there, restored] = [join(dataDir, "secrets.json"), join(aside, "secrets.json")];
  if (!existsSync(there) || !existsSync(restored)) return;
  if (readFileSync(there).equals(readFileSync(restored))) return;
  throw new BackupError(
    `${there} is of another installation than the backup: move it away. ${nothing}`,
  );
}

/** The database last: until then there is none, and the restore can be run again. */
async function putInPlace(dataDir: string, aside: string): Promise<void> {
  const id = await open(join(dataDir, restoredIdName), "w", 0o600);
  try {
    await id.writeFile(`${crypto.randomUUID()}\n`);
    await id.sync();
  } finally {
    await id.close();
  }
  for (const name of ["secrets.json"]) {
    if (existsSync(join(aside, name))) renameSync(join(aside, name), join(dataDir, name));
  }
  const captured = join(aside, "captured");
  if (existsSync(captured)) {
    mkdirSync(join(dataDir, "captured"), { recursive: true, mode: 0o700 });
    for (const name of readdirSync(captured)) {
      renameSync(join(captured, name), join(dataDir, "captured", name));
    }
    await syncPath(join(dataDir, "captured"));
  }
  await syncPath(dataDir);
  await rm(join(dataDir, "database"), { recursive: true, force: true });
  renameSync(join(aside, "database"), join(dataDir, "database"));
  await syncPath(dataDir);
}

const manifestSchema = z.object({
  format: z.literal(archiveFormat),
  version: z.int(),
  made_at: z.iso.datetime(),
  program: z.string(),
  postgres: z.string(),
  has_secrets: z.boolean(),
});

async function unpack({ file, postgres, onProgress }: RestoreOptions, aside: string) {
  const source = createReadStream(file).on("error", (error) => unzipped.destroy(error));
  const unzipped = source.pipe(createGunzip());
  const sums = new Map<string, string>();
  const report = { files: 0, bytes: 0 };
  let manifest: Manifest | null = null;
  let expected: string | null = null;
  for await (const { name, isFolder, sizeBytes, content } of readTar(unzipped)) {
    if (manifest === null) {
      // Of somebody else's archive nothing is read that may be large.
      if (name !== manifestName || sizeBytes > manifestBytesMax) throw foreign();
      const { text, sum } = await readText(content);
      manifest = parseManifest(text, postgres);
      sums.set(name, sum);
      continue;
    }
    if (expected !== null) throw new TarError("something follows its checksums");
    if (name === sumsName) {
      expected = (await readText(content)).text;
      continue;
    }
    const path = join(aside, allowedName(name));
    await mkdir(isFolder ? path : dirname(path), { recursive: true, mode: 0o700 });
    const count = (bytes: number) => {
      report.bytes += bytes;
      onProgress(report.bytes);
    };
    if (isFolder) for await (const _ of content) throw new TarError("a folder has content");
    if (isFolder) continue;
    sums.set(name, await writeFile(path, content, count));
    report.files += 1;
  }
  if (manifest === null || expected === null) throw new TarError("it ends too early");
  const found = Array.from(sums, ([name, sum]) => `${sum}  ${name}\n`).join("");
  if (found !== expected) throw new TarError("its checksums do not fit what it holds");
  if (!existsSync(join(aside, "database", "PG_VERSION"))) throw new TarError("it has no database");
  await syncFolders(aside);
  return { manifest, report };
}

const manifestBytesMax = 64 * 1024;

function foreign(): BackupError {
  return new BackupError(`it is no backup of taskforce-mailer. ${nothing}`);
}

function parseManifest(text: string, postgres: string): Manifest {
  const parsed = manifestSchema.safeParse(parseJson(text));
  if (!parsed.success) throw foreign();
  const { data } = parsed;
  if (data.version > archiveVersion) {
    throw new BackupError(`it was made by a newer program (${data.program}). ${nothing}`);
  }
  if (data.postgres !== postgres) {
    throw new BackupError(
      `it holds a database of PostgreSQL ${data.postgres}, and this program runs ${postgres}: restore ` +
        `it with version ${data.program}. ${nothing}`,
    );
  }
  return data;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Somebody else's file: said by the caller.
    return null;
  }
}

/** Nothing of an archive is written anywhere but where a backup has it. */
function allowedName(name: string): string {
  const isOurs =
    /^(secrets\.json|captured\/[\w-]+\.(eml|json)|database(\/[\w.-]+)*)$/.test(name) &&
    !name.split("/").includes("..");
  if (!isOurs) throw new TarError(`it holds ${JSON.stringify(name)}, which no backup does`);
  return name;
}

async function readText(
  content: AsyncIterable<Uint8Array>,
): Promise<{ text: string; sum: string }> {
  const bytes = Buffer.concat(await Array.fromAsync(content));
  const sum = new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
  return { text: bytes.toString("utf8"), sum };
}

async function writeFile(
  path: string,
  content: AsyncIterable<Uint8Array>,
  onBytes: (bytes: number) => void,
): Promise<string> {
  const hash = new Bun.CryptoHasher("sha256");
  const file = await open(path, "wx", 0o600);
  try {
    for await (const part of content) {
      await file.writeFile(part);
      hash.update(part);
      onBytes(part.length);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return hash.digest("hex");
}

async function syncFolders(root: string): Promise<void> {
  await syncPath(root);
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) await syncPath(join(entry.parentPath, entry.name));
  }
}

/** What zlib or our reader make of a file that is not whole, in words. */
function damageOf(error: unknown, file: string): unknown {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "Z_DATA_ERROR" && /header check/.test(String(error))) {
    return new BackupError(`${file}: it is no backup of taskforce-mailer. ${nothing}`);
  }
  if (error instanceof BackupError) return new BackupError(`${file}: ${error.message}`);
  if (error instanceof TarError) {
    return new BackupError(`${file} is damaged: ${error.message}. ${nothing}`);
  }
  if (/^Z_/.test(code)) {
    return new BackupError(`${file} is damaged or was cut off (${code}). ${nothing}`);
  }
  return error;
}
