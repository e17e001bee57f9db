import type { JournalState } from "../store/audit.ts";
import type { ChainHead, ProvenEntry } from "../store/journal.ts";
import { type Checkpoint, rootOf } from "./checkpoint.ts";
import { dropAction, type JournalStart, systemOwner } from "./journal-start.ts";
import { type BrokenLink, chainStart, linkFault } from "./verify.ts";

/** What the entries are held against, beside each other. */
export interface JournalWitnesses {
  /** What the first entry follows on. Default: nothing, it is the journal's first. */
  from?: { position: number; chains: ReadonlyMap<string, ChainHead> };
  /** Where the journal begins, its oldest entries dropped; in place of `from`. null: at its first. */
  start?: JournalStart | null;
  /** Where each chain must have got to at least. */
  heads?: ReadonlyMap<string, ChainHead>;
  /** What must follow from the entries up to its position: the database's own word, a checkpoint. */
  states?: readonly StateWitness[];
  /** Everybody's entries from there on are there, so that positions have no gap. */
  isWhole?: boolean;
}

export interface StateWitness extends Pick<JournalState, "position" | "chains" | "root"> {
  /** Of this owner's chain alone; null: of everybody's. */
  ownerId: string | null;
}

export interface BrokenEntry {
  /** null: the entry is gone, and nothing says whose it was. */
  ownerId: string | null;
  /** Of the owner's entry; null: unknown. */
  number: number | null;
  /** null: unknown. */
  position: number | null;
  /**
   * `state`: sound in itself, but not what was witnessed at this position. `checkpoint`: the stored
   * checkpoint of this position was changed after it was signed. `start`: the journal begins behind this
   * position, and no signed checkpoint with an entry that announces the drop vouches for it. `dropped`:
   * what was witnessed there lies before the first entry that is kept.
   */
  reason: BrokenLink | "state" | "checkpoint" | "start" | "dropped";
}

export type JournalVerdict =
  | {
      ok: true;
      checked: number;
      chains: number;
      position: number;
      /** Absent: from the journal's first entry on. */
      start?: VerifiedStart;
      /** Stored checkpoints that the entries agree with, and who signed them; absent: none was asked. */
      checkpoints?: { count: number; keys: readonly string[] };
    }
  | { ok: false; checked: number; broken: BrokenEntry };

/** The drop that lies before the first entry that was verified. */
export interface VerifiedStart {
  /** Of the first entry that is kept. */
  position: number;
  /** When the drop was announced; null: of one owner's chain, whose anchor is the database's own word. */
  droppedAt: string | null;
  /** Vouches for what was dropped; null: as above. */
  checkpoint: { position: number; key: string } | null;
}

/**
 * Recomputes the chains of all owners in one pass, entries coming in order of position, and names
 * the first that is broken. Holds one hash for each owner, however long the journal is.
 */
export async function verifyJournal(
  entries: AsyncIterable<ProvenEntry> | Iterable<ProvenEntry>,
  witnesses: JournalWitnesses = {},
): Promise<JournalVerdict> {
  const { start } = witnesses;
  if (start && !isVouchedFor(start)) return { ok: false, checked: 0, broken: brokenStart(start) };
  const verifier = createVerifier(witnesses);
  for await (const entry of entries) {
    const broken = verifier.add(entry);
    if (broken) return { ok: false, checked: verifier.checked(), broken };
  }
  const broken = verifier.end();
  return broken
    ? { ok: false, checked: verifier.checked(), broken }
    : { ok: true, checked: verifier.checked(), ...verifier.reached() };
}

function createVerifier({ heads, states = [], isWhole = false, ...witnesses }: JournalWitnesses) {
  const { start = null, from = start && { ...start, chains: start.anchors } } = witnesses;
  const chains = new Map<string, ChainHead>(from?.chains);
  const vouching = start?.checkpoint ? [witnessOf(start.checkpoint)] : [];
  const waiting = [...states, ...vouching].sort((a, b) => a.position - b.position);
  const drop = createDropWitness(start);
  let position = from?.position ?? 0;
  let gap: number | null = null;
  let checked = 0;

  /** States below a position can be judged now. */
  function stateFault(below: number): BrokenEntry | null {
    for (let state = waiting[0]; state && state.position < below; state = waiting[0]) {
      waiting.shift();
      if (state.ownerId === null && position < state.position) return missingAt(position + 1);
      const at = { ownerId: state.ownerId, number: null, position: state.position };
      const isDropped = start !== null && state.position < start.position;
      if (!follows(state, chains)) return { ...at, reason: isDropped ? "dropped" : "state" };
    }
    return null;
  }

  /** A position that is not there says more than a state that does not follow. */
  function orGap(fault: BrokenEntry | null): BrokenEntry | null {
    return isWhole && gap !== null ? missingAt(gap) : fault;
  }

  return {
    add(entry: ProvenEntry): BrokenEntry | null {
      if (start && start.ownerId !== null && entry.ownerId !== start.ownerId) {
        return brokenStart(start);
      }
      if (entry.position !== position + 1) gap ??= position + 1;
      const fault = stateFault(entry.position);
      if (fault) return orGap(fault);
      const { ownerId } = entry;
      const last = chains.get(ownerId) ?? chainStart;
      const head = heads?.get(ownerId);
      const reason = linkFault(entry, last, head ? { ownerId, head } : { ownerId });
      if (reason) {
        const at = reason === "missing" ? null : entry.position;
        return { ownerId, number: last.number + 1, position: at, reason };
      }
      chains.set(ownerId, { number: entry.number, hash: entry.hash });
      drop.look(entry);
      position = entry.position;
      checked += 1;
      return null;
    },
    end(): BrokenEntry | null {
      for (const [ownerId, head] of heads ?? []) {
        const { number } = chains.get(ownerId) ?? chainStart;
        const at = { ownerId, number: number + 1, position: null };
        if (number < head.number) return { ...at, reason: "missing" };
      }
      return orGap(stateFault(Number.POSITIVE_INFINITY)) ?? drop.fault();
    },
    checked: () => checked,
    reached: () => ({
      chains: chains.size,
      position,
      ...(start && { start: drop.verified(start) }),
    }),
  };
}

/** No checkpoint says anything of one owner's chain, and nothing else may begin with it. */
function isVouchedFor({ ownerId, checkpoint, position, anchors }: JournalStart): boolean {
  if (ownerId !== null) return [...anchors.keys()].every((owner) => owner === ownerId);
  return checkpoint !== null && checkpoint.position >= position;
}

export function brokenStart({ position }: JournalStart): BrokenEntry {
  return { ownerId: null, number: null, position, reason: "start" };
}

/** Looks for the entry that announced the drop: who deletes entries by hand has none. */
function createDropWitness(start: JournalStart | null) {
  const wanted = start?.ownerId === null ? start.checkpoint : null;
  let droppedAt: string | null = null;
  return {
    look({ ownerId, action, detail, position, at }: ProvenEntry) {
      if (wanted === null || ownerId !== systemOwner || action !== dropAction) return;
      const { root } = Object(detail.checkpoint);
      const isIt = detail.position === wanted.position && root === wanted.root;
      if (isIt && position > wanted.position) droppedAt = at;
    },
    fault: () => (start && wanted && droppedAt === null ? brokenStart(start) : null),
    verified({ position }: JournalStart): VerifiedStart {
      const checkpoint = wanted && { position: wanted.position, key: wanted.key };
      return { position: position + 1, droppedAt, checkpoint };
    },
  };
}

export function witnessOf({ owner_id, position, chains, root }: Checkpoint): StateWitness {
  return { ownerId: owner_id, position, chains, root };
}

function follows({ ownerId, ...state }: StateWitness, all: ReadonlyMap<string, ChainHead>) {
  const own = ownerId === null ? undefined : all.get(ownerId);
  const heads = ownerId === null ? all : new Map(own ? [[ownerId, own]] : []);
  return heads.size === state.chains && rootOf(heads) === state.root;
}

function missingAt(position: number): BrokenEntry {
  return { ownerId: null, number: null, position, reason: "missing" };
}
