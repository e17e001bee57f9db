import type { ChainPart, PartStart } from "../store/chain-parts.ts";
import type { ChainHead } from "../store/journal.ts";
import { openCheckpoint } from "./stored-checkpoints.ts";
import { type JournalVerdict, verifyJournal } from "./verify-journal.ts";

/**
 * Verifies entries that follow each other anywhere in the journal: what they say, their chains, that no
 * position is missing, and the heads of those chains that end here. The part before was verified by
 * itself, or was dropped, and then the anchors have to come to the signed checkpoint. `limit`: how many were asked for; fewer entries mean that the journal has no more.
 */
export async function verifyPart(part: ChainPart, limit: number): Promise<JournalVerdict> {
  const { entries, after, before, newest, start } = part;
  if (start !== null && !isVouchedFor(start)) {
    const at = { ownerId: null, number: null, position: start.position };
    return { ok: false, checked: 0, broken: { ...at, reason: "start" } };
  }
  const from = { position: after, chains: before };
  const verdict = await verifyJournal(entries, { from, heads: endingHere(part), isWhole: true });
  if (!verdict.ok) return verdict;
  const { checked, position } = verdict;
  if (entries.length >= limit || position >= newest) return verdict;
  const broken = { ownerId: null, number: null, position: position + 1 };
  return { ok: false, checked, broken: { ...broken, reason: "missing" } };
}

function isVouchedFor(start: PartStart): boolean {
  const { position, dropTo, isAnnounced, hasRest, chains, root } = start;
  const checkpoint = start.checkpoint && openCheckpoint(start.checkpoint);
  if (checkpoint === null || dropTo < position || !isAnnounced || hasRest) return false;
  return checkpoint.chains === chains && checkpoint.root === root;
}

/** A chain that goes on beyond the part is held against its head when its last entries are. */
function endingHere({ entries, heads }: ChainPart): Map<string, ChainHead> {
  const last = new Map(entries.map(({ ownerId, number }) => [ownerId, number]));
  return new Map([...heads].filter(([ownerId, { number }]) => number <= (last.get(ownerId) ?? 0)));
}
