import { statfsSync } from "node:fs";
import { messages, PGlite } from "@electric-sql/pglite";
import { AppError } from "../errors.ts";
import { setupError, unavailableError } from "./call-error.ts";
import { pgliteFiles } from "./pglite-files.ts";
import { syncedStartParams, syncToDisk } from "./pglite-sync.ts";

/** A PGlite that is replaced when it breaks. */
export interface PgliteEngine {
  /** Runs `work` with the PGlite of the moment; `database_unavailable` when there is none. */
  use<T>(work: (pglite: PGlite) => Promise<T>): Promise<T>;
  /** Told when a new PGlite took the place of a broken one: subscriptions are gone. */
  onReplaced(listener: () => void): () => void;
  close(): Promise<void>;
}

export interface PgliteEngineOptions {
  folder: string;
  /** Called at each fsync; for tests. */
  onSync?: () => void;
  /** Free bytes below which nothing is written any more; two segments of the journal. */
  freeBytesMin?: number;
}

/** Major version of the PostgreSQL that PGlite is; its files are of no other. A test compares. */
export const postgresMajor = "18";

/** How often the free space is looked at, and a replacement is tried. */
const LOOK_INTERVAL_MS = 1_000;

/** Opens the database in `folder` so that every commit is on the disk before it is answered. */
export async function openPglite(folder: string, onSync?: () => void): Promise<PGlite> {
  const startParams = syncedStartParams();
  const pglite = await PGlite.create({ dataDir: folder, startParams, ...(await pgliteFiles()) });
  await syncToDisk(pglite, onSync);
  return pglite;
}

/**
 * PostgreSQL panics when it cannot write its journal: a server would restart, PGlite's next
 * call never returns and stands the whole process still. So nothing is asked of it while the
 * disk is nearly full, a broken one is never asked again, and a new one recovers from the
 * folder once there is space.
 */
export async function createPgliteEngine(options: PgliteEngineOptions): Promise<PgliteEngine> {
  const { folder, onSync, freeBytesMin = 32 * 1024 * 1024 } = options;
  const listeners = new Set<() => void>();
  const hasSpace = createSpaceGauge(folder, freeBytesMin);
  // Opening writes as well, and may find a journal to replay.
  if (!hasSpace()) throw fullError(freeBytesMin);
  let current: PGlite | null = await openPglite(folder, onSync);
  let isClosing = false;
  let replacing: Promise<void> | null = null;

  async function replace(): Promise<void> {
    while (current === null && !isClosing) {
      await Bun.sleep(LOOK_INTERVAL_MS);
      if (!hasSpace() || isClosing) continue;
      current = await openPglite(folder, onSync).catch(() => null);
    }
    replacing = null;
    for (const listener of listeners) listener();
  }

  function giveUp(pglite: PGlite): void {
    if (current !== pglite) return;
    current = null;
    releaseFiles(pglite);
    replacing ??= replace();
  }

  return {
    async use(work) {
      const pglite = current;
      if (!hasSpace()) throw fullError(freeBytesMin);
      if (pglite === null) throw unavailableError(new Error("PGlite broke and is being replaced"));
      try {
        return await work(pglite);
      } catch (error) {
        if (isFatal(error)) giveUp(pglite);
        throw error;
      }
    },
    onReplaced(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async close() {
      isClosing = true;
      await replacing;
      await current?.close();
      current = null;
    },
  };
}

/** A panic, a session that ended, or a fault of the WebAssembly itself. */
export function isFatal(error: unknown): boolean {
  if (error instanceof messages.DatabaseError) return /PANIC|FATAL/.test(error.severity ?? "");
  return !(error instanceof AppError);
}

/** Makes calls of the broken one fail, and gives its descriptors back. */
function releaseFiles(pglite: PGlite): void {
  pglite.execProtocolRawSync = () => {
    throw unavailableError(new Error("PGlite broke"));
  };
  try {
    pglite.Module.FS.quit();
  } catch {
    // It is broken; what cannot be closed stays open until we end.
  }
}

function fullError(freeBytesMin: number): AppError {
  const megabytes = Math.round(freeBytesMin / 1024 / 1024);
  return setupError(
    new Error("no space left for the embedded database"),
    `The disk of the data folder is full: less than ${megabytes} MB are free. Nothing was stored; ` +
      "it goes on as soon as there is room.",
  );
}

/** Asks the file system once in a while; one that cannot be asked counts as having space. */
function createSpaceGauge(folder: string, freeBytesMin: number): () => boolean {
  let isEnough = true;
  let askedAt = Number.NEGATIVE_INFINITY;
  return () => {
    if (performance.now() - askedAt < LOOK_INTERVAL_MS) return isEnough;
    askedAt = performance.now();
    try {
      const { bavail, bsize } = statfsSync(folder);
      isEnough = bavail * bsize >= freeBytesMin;
    } catch {
      isEnough = true;
    }
    return isEnough;
  };
}
