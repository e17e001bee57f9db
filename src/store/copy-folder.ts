import { constants, type Stats } from "node:fs";
import { copyFile, mkdir, readdir, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

export interface FolderCopy {
  sizeBytes: number;
  /** How long nothing else could use the database. */
  heldMs: number;
}

/** A file's time is as coarse as the kernel's clock; one that changed just before it was read counts. */
const recentMs = 2_000;

/**
 * Copies a database's folder while it is used: all of it first, then, while `hold` keeps everybody
 * else away, what has changed since. The second pass is what others wait for; it copies what was
 * written during the first. `to` must not exist; it is removed when anything fails.
 */
export async function copyFolder(
  from: string,
  to: string,
  hold: <T>(work: () => Promise<T>) => Promise<T>,
): Promise<FolderCopy> {
  try {
    const seen = await copyChanged(from, to, new Map());
    return await hold(async () => {
      const startedAt = performance.now();
      const files = await copyChanged(from, to, seen);
      for (const name of seen.keys()) if (!files.has(name)) await rm(join(to, name));
      const sizes = Array.from(files.values(), ({ sizeBytes }) => sizeBytes);
      const sizeBytes = sizes.reduce((total, each) => total + each, 0);
      return { sizeBytes, heldMs: performance.now() - startedAt };
    });
  } catch (error) {
    await rm(to, { recursive: true, force: true });
    throw error;
  }
}

interface SeenFile {
  sizeBytes: number;
  changedMs: number;
  /** It may change again without its time telling. */
  isRecent: boolean;
}

/** Copies each file that is not in `seen` as it is now; returns all there are. */
async function copyChanged(
  from: string,
  to: string,
  seen: ReadonlyMap<string, SeenFile>,
): Promise<Map<string, SeenFile>> {
  const files = new Map<string, SeenFile>();
  await mkdir(to, { recursive: true, mode: 0o700 });
  for (const name of await readdir(from, { recursive: true })) {
    const found = await ifThere(stat(join(from, name)));
    if (found?.isDirectory()) await mkdir(join(to, name), { recursive: true, mode: 0o700 });
    if (found === null || found.isDirectory() || name === "postmaster.pid") continue;
    const file = seenAs(found);
    if (isSame(seen.get(name), file)) {
      files.set(name, file);
      continue;
    }
    await mkdir(dirname(join(to, name)), { recursive: true, mode: 0o700 });
    // Where the file system can, both names share the bytes until one is written to.
    const copied = copyFile(join(from, name), join(to, name), constants.COPYFILE_FICLONE);
    if ((await ifThere(copied)) !== null) files.set(name, file);
  }
  return files;
}

function seenAs({ size, mtimeMs }: Stats): SeenFile {
  return { sizeBytes: size, changedMs: mtimeMs, isRecent: Date.now() - mtimeMs < recentMs };
}

function isSame(before: SeenFile | undefined, now: SeenFile): boolean {
  if (before === undefined || before.isRecent) return false;
  return before.sizeBytes === now.sizeBytes && before.changedMs === now.changedMs;
}

/** Null: the database has done away with it meanwhile. */
async function ifThere<T>(asked: Promise<T>): Promise<T | null> {
  try {
    return await asked;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}
