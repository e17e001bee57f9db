import type { MigrationSession } from "./migrate.ts";

/** Settings of a PostgreSQL without which it may lose what it committed. */
export interface Durability {
  fsync: boolean;
  fullPageWrites: boolean;
  /** As a new session has it; our calls raise `off` to `on` for themselves. */
  synchronousCommit: string;
}

export async function readDurability({ query }: MigrationSession): Promise<Durability> {
  const [row] = await query(
    `select current_setting('fsync') = 'on' as fsync,
            current_setting('full_page_writes') = 'on' as full_page_writes,
            current_setting('synchronous_commit') as synchronous_commit`,
  );
  return {
    fsync: row?.fsync === true,
    fullPageWrites: row?.full_page_writes === true,
    synchronousCommit: String(row?.synchronous_commit),
  };
}

/** One sentence for each setting that is off, and what it costs; empty when all is well. */
export function durabilityFaults({ fsync, fullPageWrites, synchronousCommit }: Durability) {
  const faults: string[] = [];
  if (!fsync) faults.push("fsync is off: a crash of the machine may lose or break everything");
  if (!fullPageWrites) {
    faults.push("full_page_writes is off: a crash in the middle of a write may break pages");
  }
  if (synchronousCommit === "off") {
    faults.push("synchronous_commit is off: our own calls set it to on, those of others do not");
  }
  return faults;
}
