import type { BrokenEntry } from "./verify-journal.ts";

const words: Record<BrokenEntry["reason"], string> = {
  missing: "is missing: it was removed, or never came",
  altered: "says something else than what was hashed",
  hash: "does not follow from the entry before it: it, or one before, was rewritten",
  checkpoint: "has a stored checkpoint that was changed after it was signed",
  start:
    "begins there, and no signed checkpoint with its entry vouches for what was before: it was removed",
  dropped: "was dropped since, so that a checkpoint of before proves nothing: take a later one",
  state: "is not what was witnessed: entries up to there were removed or rewritten",
};

/** Which entry is broken, and how, for people. */
export function brokenWords({ ownerId, number, position, reason }: BrokenEntry): string {
  const place = position === null ? "" : ` (position ${position})`;
  const owner = ownerId === null ? "" : ` of owner ${JSON.stringify(ownerId)}`;
  if (number !== null) return `entry ${number}${owner}${place} ${words[reason]}`;
  return `the journal${owner} at position ${position} ${words[reason]}`;
}
