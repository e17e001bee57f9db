import type { Audit } from "../store/audit.ts";
import type { Claims } from "../store/database.ts";
import type { ProvenEntry } from "../store/journal.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { hasMoved, type JournalStart, readStart } from "./journal-start.ts";
import { readHeads, readJournal } from "./read-journal.ts";
import { openCheckpoint, readCheckpoints } from "./stored-checkpoints.ts";
import {
  type BrokenEntry,
  type JournalVerdict,
  type StateWitness,
  verifyJournal,
  witnessOf,
} from "./verify-journal.ts";

export interface CheckOptions {
  /** Of this owner's chain; null: of everybody's, which is for admins. */
  ownerId: string | null;
  as: Claims;
  /** What the journal held once, as kept elsewhere; of the same owner, or of everybody's. */
  checkpoint?: Checkpoint | null;
  /** Ends it early, by rejecting. */
  signal?: AbortSignal;
}

/** What entries that go while they are read can look like. */
const ofADrop = new Set<BrokenEntry["reason"]>(["missing", "state", "start", "dropped"]);

/**
 * Verifies the journal as the database holds it, against what the database itself says of its
 * chains, against a checkpoint, and, when all chains are verified, against the checkpoints that the
 * database keeps. Takes as long as reading all of it; begins anew where entries were dropped before
 * they were read.
 */
export async function checkJournal(audit: Audit, options: CheckOptions): Promise<JournalVerdict> {
  for (;;) {
    const start = await readStart(audit, options.ownerId, options.as);
    const verdict = await checkFrom(start, audit, options);
    if (verdict.ok || !ofADrop.has(verdict.broken.reason)) return verdict;
    if (!(await hasMoved(audit, start, options.as))) return verdict;
  }
}

async function checkFrom(
  start: JournalStart | null,
  audit: Audit,
  { ownerId, as, checkpoint, signal }: CheckOptions,
): Promise<JournalVerdict> {
  const stored = ownerId === null ? await storedStates(audit, as, start?.position ?? 0) : null;
  if (stored?.broken) return { ok: false, checked: 0, broken: stored.broken };
  // First these: what is sealed meanwhile may go beyond them, and never fall short.
  const state = await audit.state(ownerId, as);
  const heads = await readHeads(audit, ownerId, as);
  const states: StateWitness[] = [{ ...state, ownerId }];
  if (checkpoint) states.push(witnessOf(checkpoint));
  states.push(...(stored?.states ?? []));
  const entries = oneByOne(readJournal(audit, ownerId === null ? {} : { ownerId }, as), signal);
  const isWhole = ownerId === null;
  const verdict = await verifyJournal(entries, { start, heads, states, isWhole });
  return verdict.ok && stored !== null ? { ...verdict, checkpoints: stored.signed } : verdict;
}

interface StoredStates {
  /** The oldest that is not what was signed; null: all are. */
  broken: BrokenEntry | null;
  states: StateWitness[];
  signed: { count: number; keys: string[] };
}

/** What the stored checkpoints say of the journal from a position on. */
async function storedStates(audit: Audit, as: Claims, from: number): Promise<StoredStates> {
  const states: StateWitness[] = [];
  const keys = new Set<string>();
  let broken: BrokenEntry | null = null;
  for (const stored of await readCheckpoints(audit, as)) {
    const checkpoint = openCheckpoint(stored);
    const { position } = stored;
    if (checkpoint === null) {
      broken = { ownerId: null, number: null, position, reason: "checkpoint" };
      continue;
    }
    // Of what was dropped the one at its end vouches for all before.
    if (position < from) continue;
    states.push(witnessOf(checkpoint));
    keys.add(checkpoint.key);
  }
  return { states, broken, signed: { count: states.length, keys: [...keys] } };
}

async function* oneByOne(pages: AsyncIterable<ProvenEntry[]>, signal: AbortSignal | undefined) {
  for await (const page of pages) {
    signal?.throwIfAborted();
    yield* page;
  }
}
