import { Database } from "bun:sqlite";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

/** The folder belongs to another running process; the message is fit for a terminal. */
export class FolderInUseError extends Error {
  readonly folder: string;

  constructor(folder: string, cause: unknown) {
    super(
      `The folder ${folder} is in use by another process, probably a running server. ` +
        "Stop that one, or set DATA_DIR to another folder.",
      { cause },
    );
    this.name = "FolderInUseError";
    this.folder = folder;
  }
}

export interface FolderLock {
  release(): void;
}

/**
 * Takes `folder` for this process alone, creating it when missing. The lock is SQLite's on
 * `lock.sqlite`: the kernel frees it however the process ends, where a file with a process id
 * fails in containers (every first process is number 1). Keep the answer: a handle nobody
 * holds is collected, and the lock goes with it. Throws `FolderInUseError`.
 */
export function lockFolder(folder: string): FolderLock {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const sqlite = new Database(join(folder, "lock.sqlite"), { create: true });
  try {
    sqlite.run("pragma busy_timeout = 0");
    sqlite.run("pragma locking_mode = exclusive");
    // In this mode the lock of the first write is kept until the handle is closed.
    sqlite.run("create table if not exists lock (holder integer)");
    sqlite.run("delete from lock");
    sqlite.run("insert into lock values (?)", [process.pid]);
  } catch (error) {
    sqlite.close();
    if (isBusy(error)) throw new FolderInUseError(folder, error);
    throw error;
  }
  return { release: () => sqlite.close() };
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && "code" in error && /^SQLITE_BUSY/.test(String(error.code));
}
