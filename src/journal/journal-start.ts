import type { Audit } from "../store/audit.ts";
import type { Claims } from "../store/database.ts";
import type { Anchor } from "../store/journal.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { openCheckpoint } from "./stored-checkpoints.ts";

/** Where a journal begins whose oldest entries were dropped. */
export interface JournalStart {
  /** Whose anchor is here; null: everybody's are. */
  ownerId: string | null;
  /** Of the newest entry that was dropped; more than 0. */
  position: number;
  /**
   * Vouches for what was dropped, at `position` or, while a drop is under way, beyond it. null: of one
   * owner's chain it says nothing; of everybody's: it is gone, or was changed after it was signed.
   */
  checkpoint: Checkpoint | null;
  /** The newest dropped entry of each owner. */
  anchors: ReadonlyMap<string, Anchor>;
}

/** As `drop_journal` writes it: the entry that announces a drop. */
export const dropAction = "retention.journal_dropped";
export const systemOwner = "taskforce-mailer:system";

const pageSize = 5_000;

/** Null: nothing was dropped. A user gets its own chain's, whatever is asked for. */
export async function readStart(
  audit: Pick<Audit, "start">,
  askedOwner: string | null,
  as: Claims,
): Promise<JournalStart | null> {
  const ownerId = as.role === "user" ? as.sub : askedOwner;
  for (;;) {
    const start = await readPages(audit, ownerId, as);
    if (start !== "moved") return start;
  }
}

/** `moved`: a drop went on between two pages, which so are of two moments. */
async function readPages(audit: Pick<Audit, "start">, ownerId: string | null, as: Claims) {
  const anchors = new Map<string, Anchor>();
  let position: number | null = null;
  let after: string | null = null;
  for (;;) {
    const page = await audit.start({ ownerId, after, limit: pageSize }, as);
    if (position !== null && page.position !== position) return "moved";
    position = page.position;
    for (const { ownerId: owner, ...anchor } of page.anchors) anchors.set(owner, anchor);
    if (page.anchors.length === pageSize) {
      after = page.anchors.at(-1)?.ownerId ?? null;
      continue;
    }
    if (position === 0) return null;
    const checkpoint = page.checkpoint && openCheckpoint(page.checkpoint);
    return { ownerId, position, anchors, checkpoint: ownerId === null ? checkpoint : null };
  }
}

/** Whether the journal begins elsewhere by now: a drop went on since `start` was read. */
export async function hasMoved(
  audit: Pick<Audit, "start">,
  start: JournalStart | null,
  as: Claims,
): Promise<boolean> {
  const { position } = await audit.start({ ownerId: as.sub, after: null, limit: 1 }, as);
  return position !== (start?.position ?? 0);
}
