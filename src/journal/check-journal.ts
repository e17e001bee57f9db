import type { Audit } from "../store/audit.ts";
import type { Claims } from "../store/database.ts";
import type { ProvenEntry } from "../store/journal.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { readHeads, readJournal } from "./read-journal.ts";
import { type JournalVerdict, type StateWitness, verifyJournal } from "./verify-journal.ts";

export interface CheckOptions {
  /** Of this owner's chain; null: of everybody's, which is for admins. */
  ownerId: string | null;
  as: Claims;
  /** What the journal held once, as kept elsewhere; of the same owner, or of everybody's. */
  checkpoint?: Checkpoint | null;
  /** Ends it early, by rejecting. */
  signal?: AbortSignal;
}

/**
 * Verifies the journal as the database holds it, against what the database itself says of its
 * chains and against a checkpoint. Takes as long as reading all of it.
 */
export async function checkJournal(
  audit: Audit,
  { ownerId, as, checkpoint, signal }: CheckOptions,
): Promise<JournalVerdict> {
  // First these: what is sealed meanwhile may go beyond them, and never fall short.
  const state = await audit.state(ownerId, as);
  const heads = await readHeads(audit, ownerId, as);
  const states: StateWitness[] = [{ ...state, ownerId }];
  if (checkpoint) states.push(witnessOf(checkpoint));
  const entries = oneByOne(readJournal(audit, ownerId === null ? {} : { ownerId }, as), signal);
  return verifyJournal(entries, { heads, states, isWhole: ownerId === null });
}

export function witnessOf({ owner_id, position, chains, root }: Checkpoint): StateWitness {
  return { ownerId: owner_id, position, chains, root };
}

async function* oneByOne(pages: AsyncIterable<ProvenEntry[]>, signal: AbortSignal | undefined) {
  for await (const page of pages) {
    signal?.throwIfAborted();
    yield* page;
  }
}
