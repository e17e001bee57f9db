import { verdictAnswer } from "../../http/verify-audit.ts";
import type { BrokenEntry, JournalVerdict } from "../../journal/verify-journal.ts";
import type { CommandIo } from "../command.ts";

const words: Record<BrokenEntry["reason"], string> = {
  missing: "is missing: it was removed, or never came",
  altered: "says something else than what was hashed",
  hash: "does not follow from the entry before it: it, or one before, was rewritten",
  state: "is not what was witnessed: entries up to there were removed or rewritten",
};

/** Says what came of it; resolves to the exit code. */
export function printVerdict(
  verdict: JournalVerdict,
  { stdout, stderr }: CommandIo,
  isJson: boolean,
): number {
  if (isJson) stdout.write(`${JSON.stringify(verdictAnswer(verdict))}\n`);
  else if (verdict.ok) {
    const { checked, chains, position } = verdict;
    stdout.write(`ok: ${checked} entries of ${chains} owners verified, to position ${position}\n`);
  } else stderr.write(`audit: ${brokenWords(verdict.broken)}\n`);
  return verdict.ok ? 0 : 1;
}

function brokenWords({ ownerId, number, position, reason }: BrokenEntry): string {
  const place = position === null ? "" : ` (position ${position})`;
  const owner = ownerId === null ? "" : ` of owner ${JSON.stringify(ownerId)}`;
  if (number !== null) return `entry ${number}${owner}${place} ${words[reason]}`;
  return `the journal${owner} at position ${position} ${words[reason]}`;
}
