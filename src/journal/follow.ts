import { isAppError } from "../errors.ts";
import { createBell } from "../runtime/bell.ts";
import type { Claims } from "../store/database.ts";
import type { Journal, JournalEntry } from "../store/journal.ts";

export interface FollowOptions {
  /** Position of the last entry that is known; 0: from the start. */
  after: number;
  /** A user gets its own entries only. */
  as: Claims;
  emailId?: string;
  ownerId?: string;
  /** Ends the following; the generator then returns. */
  signal: AbortSignal;
  /** How often it looks when nothing rings. Default 250. */
  everyMs?: number;
  /** Entries per call. Default 500. */
  limit?: number;
  /** `onSealed` of this process's sealer, to be there at once. */
  onSealed?: (listener: () => void) => () => void;
}

/** While the database is gone it is asked this much more seldom. */
const outageFactor = 8;

/**
 * Sealed entries from a position on, in order, until the signal: none is missed and none comes
 * twice, also across an outage of the database, which is waited out. A reader that stores the
 * position of the last entry it got can go on from there after a crash. Throws what else the
 * database refuses.
 */
export async function* followJournal(
  journal: Pick<Journal, "read">,
  options: FollowOptions,
): AsyncGenerator<JournalEntry, void, undefined> {
  const { signal, everyMs = 250, limit = 500 } = options;
  const bell = createBell();
  const stopListening = options.onSealed?.(bell.ring);
  signal.addEventListener("abort", bell.ring);
  let { after } = options;
  try {
    while (!signal.aborted) {
      const entries = await readUnlessDown(journal, { ...options, after, limit });
      for (const entry of entries ?? []) {
        if (signal.aborted) return;
        after = entry.position;
        yield entry;
      }
      const isAtEnd = (entries?.length ?? 0) < limit;
      if (isAtEnd && !signal.aborted) await bell.wait(everyMs * (entries ? 1 : outageFactor));
    }
  } finally {
    signal.removeEventListener("abort", bell.ring);
    stopListening?.();
  }
}

/** null while the database is gone. */
async function readUnlessDown(
  journal: Pick<Journal, "read">,
  { after, limit, emailId, ownerId, as }: FollowOptions & { limit: number },
): Promise<JournalEntry[] | null> {
  try {
    const filter = { ...(emailId && { emailId }), ...(ownerId && { ownerId }) };
    return await journal.read({ after, limit, ...filter }, as);
  } catch (error) {
    if (isAppError(error, "database_unavailable")) return null;
    throw error;
  }
}
