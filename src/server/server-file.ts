import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../config.ts";

/** Where the server is that has DATA_DIR locked. */
export interface ServerFile {
  url: string;
  pid: number;
}

/**
 * Leaves word in DATA_DIR of where this server listens, for commands that find the embedded
 * database locked; returns how to take it back. One left by a crash misleads nobody: it is only
 * read while the folder is locked, and whoever locks it writes its own.
 */
export function announceServer({ database, dataDir }: Config, url: string): () => void {
  if (database.driver !== "pglite") return () => {};
  const path = pathIn(dataDir);
  const unfinished = `${path}.tmp`;
  writeFileSync(unfinished, `${JSON.stringify({ url, pid: process.pid })}\n`, { mode: 0o600 });
  renameSync(unfinished, path);
  return () => rmSync(path, { force: true });
}

/** Null: there is none, or nothing that makes sense. */
export function readServerFile(dataDir: string): ServerFile | null {
  try {
    const { url, pid } = JSON.parse(readFileSync(pathIn(dataDir), "utf8"));
    return typeof url === "string" && typeof pid === "number" ? { url, pid } : null;
  } catch {
    // The server is just starting, or just gone: whoever asks tells the person.
    return null;
  }
}

function pathIn(dataDir: string): string {
  return join(dataDir, "server.json");
}
