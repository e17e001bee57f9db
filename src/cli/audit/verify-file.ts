import { createReadStream } from "node:fs";
import type { Checkpoint } from "../../journal/checkpoint.ts";
import { openExport } from "../../journal/export.ts";
import type { JournalStart } from "../../journal/journal-start.ts";
import { type JournalVerdict, verifyJournal, witnessOf } from "../../journal/verify-journal.ts";
import type { ProvenEntry } from "../../store/journal.ts";

export interface VerifyFileOptions {
  /** Only this owner's entries are looked at. */
  ownerId: string | null;
  checkpoint: Checkpoint | null;
}

/** Verifies an export without any database: nothing but the file, and what is kept elsewhere. */
export async function verifyFile(
  path: string,
  { ownerId, checkpoint }: VerifyFileOptions,
): Promise<JournalVerdict> {
  const { start, entries } = await openExport(createReadStream(path));
  return verifyJournal(ofOwner(entries, ownerId), {
    start: start && startOf(start, ownerId),
    states: checkpoint === null ? [] : [witnessOf(checkpoint)],
    // Everybody's entries must be there where the file itself says that it has them.
    isWhole: start?.ownerId === null && ownerId === null,
  });
}

/** A checkpoint over everybody's chains proves nothing of a single one. */
function startOf(start: JournalStart, ownerId: string | null): JournalStart {
  if (ownerId === null || start.ownerId !== null) return start;
  const anchor = start.anchors.get(ownerId);
  const anchors = new Map(anchor ? [[ownerId, anchor]] : []);
  return { ...start, ownerId, checkpoint: null, anchors };
}

async function* ofOwner(entries: AsyncIterable<ProvenEntry>, ownerId: string | null) {
  for await (const entry of entries) {
    if (ownerId === null || entry.ownerId === ownerId) yield entry;
  }
}
