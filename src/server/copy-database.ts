import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../config.ts";
import { AppError } from "../errors.ts";
import type { FolderCopy } from "../store/copy-folder.ts";
import type { Database } from "../store/database.ts";

/** Folders of DATA_DIR that hold a copy of the database for `backup`; a start removes them, too. */
const copyPrefix = "backup.tmp-";

/**
 * Copies the embedded database beside itself; undefined: it lies on a server. Calls made while one
 * runs share its answer, and a copy that its reader left behind makes room for the next.
 */
export function createDatabaseCopier(
  { copyTo: copyInto }: Pick<Database, "copyTo">,
  { dataDir }: Pick<Config, "dataDir">,
): (() => Promise<FolderCopy & { folder: string }>) | undefined {
  if (copyInto === undefined) return undefined;
  let running: Promise<FolderCopy & { folder: string }> | null = null;
  const copy = async (): Promise<FolderCopy & { folder: string }> => {
    for (const name of readdirSync(dataDir)) {
      if (name.startsWith(copyPrefix)) rmSync(join(dataDir, name), { recursive: true });
    }
    const folder = `${copyPrefix}${crypto.randomUUID().slice(0, 8)}`;
    try {
      return { folder, ...(await copyInto(join(dataDir, folder))) };
    } catch (error) {
      throw sayFullDisk(error);
    }
  };
  return () => {
    running ??= copy().finally(() => {
      running = null;
    });
    return running;
  };
}

function sayFullDisk(error: unknown): unknown {
  if ((error as NodeJS.ErrnoException).code !== "ENOSPC") return error;
  return new AppError("database_unavailable", {
    publicDetail: "The disk of DATA_DIR is full: a copy of the database does not fit beside it.",
    cause: error,
  });
}
