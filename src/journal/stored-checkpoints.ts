import type { Audit, StoredCheckpoint } from "../store/audit.ts";
import type { Claims } from "../store/database.ts";
import { type Checkpoint, isSoundlySigned, parseCheckpoint } from "./checkpoint.ts";

const pageSize = 500;

/** All checkpoints that the database keeps, the newest first. For admins. */
export async function readCheckpoints(
  audit: Pick<Audit, "checkpoints">,
  as: Claims,
): Promise<StoredCheckpoint[]> {
  const all: StoredCheckpoint[] = [];
  for (;;) {
    const before = all.at(-1)?.position ?? null;
    const page = await audit.checkpoints({ before, offset: 0, limit: pageSize }, as);
    all.push(...page);
    if (page.length < pageSize) return all;
  }
}

/** The checkpoint in a row of the database; null: it was changed after it was signed. */
export function openCheckpoint({ position, text }: StoredCheckpoint): Checkpoint | null {
  try {
    const checkpoint = parseCheckpoint(text);
    const isOfRow = checkpoint.position === position && checkpoint.owner_id === null;
    return isOfRow && isSoundlySigned(checkpoint) ? checkpoint : null;
  } catch {
    // No checkpoint at all: somebody wrote it over.
    return null;
  }
}
