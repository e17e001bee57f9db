import { createReadStream } from "node:fs";
import { witnessOf } from "../../journal/check-journal.ts";
import type { Checkpoint } from "../../journal/checkpoint.ts";
import { readExport } from "../../journal/export.ts";
import { type JournalVerdict, verifyJournal } from "../../journal/verify-journal.ts";
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
  const entries = ofOwner(readExport(createReadStream(path)), ownerId);
  return verifyJournal(entries, { states: checkpoint === null ? [] : [witnessOf(checkpoint)] });
}

async function* ofOwner(entries: AsyncIterable<ProvenEntry>, ownerId: string | null) {
  for await (const entry of entries) {
    if (ownerId === null || entry.ownerId === ownerId) yield entry;
  }
}
