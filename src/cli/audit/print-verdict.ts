import { verdictAnswer } from "../../http/audit/verify-audit.ts";
import { brokenWords } from "../../journal/broken-words.ts";
import type { JournalVerdict, VerifiedStart } from "../../journal/verify-journal.ts";
import type { CommandIo } from "../command.ts";

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
    if (verdict.start) stdout.write(`${startWords(verdict.start)}\n`);
    printCheckpoints(verdict.checkpoints, stdout);
  } else stderr.write(`audit: ${brokenWords(verdict.broken)}\n`);
  return verdict.ok ? 0 : 1;
}

/** Shows the key: the owner of the database could sign other ones with a key of their own. */
function printCheckpoints(
  { count, keys }: { count: number; keys: readonly string[] } = { count: 0, keys: [] },
  stdout: CommandIo["stdout"],
): void {
  if (count === 0) return;
  const noun = count === 1 ? "checkpoint agrees" : "checkpoints agree";
  stdout.write(`${count} stored ${noun}, signed by ${keys.join(" and ")}\n`);
}

function startWords({ position, droppedAt, checkpoint }: VerifiedStart): string {
  const from = `verified from position ${position} on; what was before was dropped`;
  if (checkpoint === null)
    return `${from}, which only the database itself says of one owner's chain`;
  const { position: at, key } = checkpoint;
  return `${from} on ${droppedAt}, vouched for by the checkpoint of position ${at}, signed by ${key}`;
}
