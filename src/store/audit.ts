import type { Claims, Database } from "./database.ts";
import {
  type Anchor,
  type ChainHead,
  type ProvenEntry,
  type ProvenEntryJson,
  toProvenEntry,
} from "./journal.ts";

/** Conditions on the journal's entries; absent: any value. */
export interface AuditFilter {
  /** Only an admin may ask for somebody else's. */
  ownerId?: string;
  emailId?: string;
  action?: string;
  actor?: string;
  /** Inclusive. */
  atFrom?: Date;
  /** Exclusive. */
  atTo?: Date;
}

export interface AuditQuery extends AuditFilter {
  limit: number;
  /** How many of what matches are left out. Default: none. */
  offset?: number;
  isNewestFirst: boolean;
  /** Positions, both exclusive. */
  after?: number;
  before?: number;
}

/** The state of the chains at one moment, as a checkpoint signs it. */
export interface JournalState {
  /** UTC with microseconds, by the database's clock. */
  at: string;
  /** Of the newest sealed entry; 0: there is none. */
  position: number;
  /** How many owners have entries. */
  chains: number;
  /** Hex; see `rootOf` in `journal/checkpoint.ts`. */
  root: string;
}

/** A checkpoint that the program made once a day, as the database keeps it. */
export interface StoredCheckpoint {
  /** Of the newest entry that was sealed by then. */
  position: number;
  /** JSON, signed; whether it is sound is for the reader. */
  text: string;
}

/** Where the journal begins, and a page of what its chains follow on there. */
export interface StoredStart {
  /** Of the newest entry that was dropped; 0: none was. */
  position: number;
  /** The one that vouches for that; null: it is gone, or the caller is no admin. */
  checkpoint: StoredCheckpoint | null;
  /** By owner. */
  anchors: (Anchor & { ownerId: string })[];
}

/** Reads the journal as an audit trail. A user gets its own entries, whatever is asked for. */
export interface Audit {
  /** Sealed entries in order of position, or the other way round. */
  read(query: AuditQuery, as: Claims): Promise<ProvenEntry[]>;
  /** Of everybody's chains, or of one owner's. */
  state(ownerId: string | null, as: Claims): Promise<JournalState>;
  /** Where each chain has got to, by owner, in pages that begin after an owner. */
  heads(
    page: { ownerId: string | null; after: string | null; limit: number },
    as: Claims,
  ): Promise<(ChainHead & { ownerId: string })[]>;
  /** At one moment; the anchors in pages that begin after an owner. */
  start(
    page: { ownerId: string | null; after: string | null; limit: number },
    as: Claims,
  ): Promise<StoredStart>;
  /** The newest first; `before`: a position, exclusive. For admins alone. */
  checkpoints(
    page: { before: number | null; offset: number; limit: number },
    as: Claims,
  ): Promise<StoredCheckpoint[]>;
}

export function createAudit(database: Database): Audit {
  return {
    async read(query, as) {
      const { entries } = (await database.rpc("read_audit", toArgs(query), as)) as {
        entries: ProvenEntryJson[];
      };
      return entries.map(toProvenEntry);
    },
    async state(ownerId, as) {
      return (await database.rpc("journal_state", { owner_id: ownerId }, as)) as JournalState;
    },
    async heads({ ownerId, after, limit }, as) {
      const args = { owner_id: ownerId, after, limit };
      const { heads } = (await database.rpc("list_journal_heads", args, as)) as {
        heads: { owner_id: string; number: number; hash: string }[];
      };
      return heads.map(({ owner_id, number, hash }) => ({ ownerId: owner_id, number, hash }));
    },
    async start({ ownerId, after, limit }, as) {
      const args = { owner_id: ownerId, after, limit };
      return toStart((await database.rpc("read_journal_start", args, as)) as StartJson);
    },
    async checkpoints(page, as) {
      const rows = (await database.rpc("list_checkpoints", page, as)) as {
        position: number;
        checkpoint: string;
      }[];
      return rows.map(({ position, checkpoint: text }) => ({ position, text }));
    },
  };
}

interface StartJson {
  position: number;
  drop_to: number;
  checkpoint: string | null;
  anchors: { owner_id: string; position: number; number: number; hash: string }[];
}

function toStart({ position, drop_to, checkpoint: text, anchors }: StartJson): StoredStart {
  return {
    position,
    checkpoint: text === null ? null : { position: drop_to, text },
    anchors: anchors.map(({ owner_id: ownerId, ...anchor }) => ({ ownerId, ...anchor })),
  };
}

function toArgs(query: AuditQuery): object {
  return {
    limit: query.limit,
    offset: query.offset ?? 0,
    is_newest_first: query.isNewestFirst,
    after: query.after ?? null,
    before: query.before ?? null,
    owner_id: query.ownerId ?? null,
    email_id: query.emailId ?? null,
    action: query.action ?? null,
    actor: query.actor ?? null,
    at_from: query.atFrom ?? null,
    at_to: query.atTo ?? null,
  };
}
