import type { Config } from "../config.ts";
import type { Logger } from "../log.ts";
import type { Database } from "../store/database.ts";
import { createReadReplica, type ReadReplica } from "../store/read-replica.ts";
import { connectReplica } from "../store/replica-connection.ts";

/** The replica that the configuration names, beside its primary; null: none. */
export function openReadReplica(
  { readReplica, role }: Pick<Config, "readReplica" | "role">,
  primary: Database,
  log: Logger,
): ReadReplica | null {
  // A process that only works lists nothing to anybody.
  if (readReplica === null || role === "worker") return null;
  const { url, lagMaxMs } = readReplica;
  return createReadReplica({ primary, replica: connectReplica(url), lagMaxMs, log });
}
