import { randomBytes } from "node:crypto";
import { mkdir, open, rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";

/** A file that is complete and on the disk, but not yet there under its name. */
export interface StagedFile {
  /** Puts it in its place; whoever reads that sees all of it or nothing. */
  commit(): Promise<void>;
  /** Never rejects. */
  discard(): Promise<void>;
}

/** Makes the folder (mode 0700) when it is missing; the file has mode 0600. */
export async function stageFile(path: string, content: Uint8Array | string): Promise<StagedFile> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  const discard = () =>
    unlink(temporary).catch(() => {
      // It was never made or is in its place by now; either way nothing is left to remove.
    });
  const file = await open(temporary, "wx", 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
    await file.close();
  } catch (error) {
    await file.close().catch(() => {
      // The failed write is the error to report.
    });
    await discard();
    throw error;
  }
  return { discard, commit: () => rename(temporary, path) };
}

/** A file's content, or a folder's entries: a rename is on the disk only once its folder is. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
