import { fsyncSync } from "node:fs";
import { PGlite } from "@electric-sql/pglite";

/**
 * PGlite starts PostgreSQL with `-F` (fsync off), and its file system has no fsync: a process
 * that dies loses nothing, a power cut may lose everything. These parameters and `syncToDisk`
 * together make every commit reach the disk before it is answered (one fsync, 2 to 6 ms).
 */
export function syncedStartParams(): string[] {
  const params = PGlite.defaultStartParams.filter((param) => param !== "-F");
  // The other methods need calls that the file system of Emscripten does not have.
  const durable = ["-c", "fsync=on", "-c", "wal_sync_method=fsync"];
  // A quarter of the default: it all counts as this process's memory, which never shrinks.
  return [...params, ...durable, "-c", "shared_buffers=32MB"];
}

/** Input/output error, by the numbers of WASI. */
const EIO = 29;

/** The open file as NODEFS keeps it; `nfd` is the descriptor of the operating system. */
interface NodeStream {
  nfd: number;
}

interface StreamOperations {
  fsync?: (stream: NodeStream) => number;
}

/**
 * Gives PGlite's file system the fsync it lacks, then runs a checkpoint, so that what was
 * written before is on the disk as well. `onSync` is told of every call; the tests count.
 */
export async function syncToDisk(pglite: PGlite, onSync?: () => void): Promise<void> {
  const operations = streamOperations(pglite);
  operations.fsync = ({ nfd }) => {
    try {
      fsyncSync(nfd);
    } catch {
      // PostgreSQL understands this one and panics; any other exception PGlite would swallow.
      throw new pglite.Module.FS.ErrnoError(EIO);
    }
    onSync?.();
    return 0;
  };
  await pglite.exec("checkpoint");
}

/** Emscripten's types do not know `stream_ops`; absent, we must not claim to be durable. */
function streamOperations(pglite: PGlite): StreamOperations {
  const { NODEFS } = pglite.Module;
  if ("stream_ops" in NODEFS && typeof NODEFS.stream_ops === "object" && NODEFS.stream_ops) {
    return NODEFS.stream_ops;
  }
  throw new Error("this version of PGlite has no NODEFS.stream_ops to sync files with");
}
