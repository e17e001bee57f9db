import type { Audit, AuditFilter } from "../store/audit.ts";
import type { Claims } from "../store/database.ts";
import type { ProvenEntry } from "../store/journal.ts";
import { exportLine, startLines } from "./export.ts";
import { hasMoved, type JournalStart, readStart } from "./journal-start.ts";
import { readJournal } from "./read-journal.ts";

/**
 * An export in pieces of text: all sealed entries that match, oldest first; before whole chains, whose
 * oldest entries were dropped, what they follow on. Throws when entries are dropped that were not yet
 * read, which would leave a gap.
 */
export async function* exportJournal(
  audit: Pick<Audit, "read" | "start">,
  filter: AuditFilter,
  as: Claims,
): AsyncGenerator<string, void, undefined> {
  const { ownerId = null, ...others } = filter;
  const isOfChains = Object.values(others).every((value) => value === undefined);
  const start = isOfChains ? await readStart(audit, ownerId, as) : null;
  if (start !== null) yield* startLines(start);
  const isWhole = ownerId === null && as.role !== "user";
  let last: ProvenEntry | null = null;
  for await (const page of readJournal(audit, filter, as)) {
    const isGap = isOfChains && !follows(page[0], last, { start, isWhole });
    if (isGap && (await hasMoved(audit, start, as))) {
      throw new Error("entries were dropped while they were being exported: ask for it again");
    }
    last = page.at(-1) ?? last;
    yield page.map(exportLine).join("");
  }
}

function follows(
  entry: ProvenEntry | undefined,
  last: ProvenEntry | null,
  { start, isWhole }: { start: JournalStart | null; isWhole: boolean },
): boolean {
  if (entry === undefined) return true;
  const before = isWhole
    ? (last ?? start)?.position
    : (last ?? start?.anchors.get(entry.ownerId))?.number;
  return (isWhole ? entry.position : entry.number) === (before ?? 0) + 1;
}
