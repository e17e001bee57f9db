import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import type { Config } from "../config.ts";
import { type Finding, failed, ok, reasonOf, warning } from "./finding.ts";

const mebi = 1024 * 1024;
/** The embedded database writes nothing any more below 32 MiB. */
const freeBytesMin = 64 * mebi;
const freeBytesGood = 1024 * mebi;

/** The space of DATA_DIR, when something is written there. */
export function checkDisk({ dataDir, database, transport }: Config): Finding[] {
  if (database.driver !== "pglite" && transport.kind !== "capture") return [];
  const free = freeBytesOf(dataDir);
  if (typeof free === "string") {
    const advice = "Set DATA_DIR to a folder that exists or can be made.";
    return [failed("disk", `${dataDir}: ${free}`, advice)];
  }
  const saw = `${Math.round(free / mebi)} MiB free in ${dataDir}`;
  const advice = "Make room: the embedded database takes nothing once the disk is full.";
  if (free < freeBytesMin) return [failed("disk", saw, advice)];
  return [free < freeBytesGood ? warning("disk", saw, advice) : ok("disk", saw)];
}

/** Of the folder, or of what it will be made in; else why that is not known. */
function freeBytesOf(folder: string): number | string {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch (error) {
    const parent = dirname(folder);
    const isMissing = error instanceof Error && "code" in error && error.code === "ENOENT";
    return isMissing && parent !== folder ? freeBytesOf(parent) : reasonOf(error);
  }
}
