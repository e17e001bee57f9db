import type { StoredCheckpoint } from "./audit.ts";
import { type Database, partClaims } from "./database.ts";
import {
  type ChainHead,
  type ProvenEntry,
  type ProvenEntryJson,
  toProvenEntry,
} from "./journal.ts";

/** Entries that follow each other in the journal, and what verifies them. */
export interface ChainPart {
  /** The position that the first of them follows. */
  after: number;
  entries: ProvenEntry[];
  /** What the chain of each owner had got to before; an owner that is missing begins here. */
  before: ReadonlyMap<string, ChainHead>;
  /** Where the chains of these owners end now, which may be far beyond. */
  heads: ReadonlyMap<string, ChainHead>;
  /** Position of the newest sealed entry; 0: there is none. */
  newest: number;
  /** Null: nothing was dropped, or the part does not begin there. */
  start: PartStart | null;
}

/** The database's word on the entries that were dropped. */
export interface PartStart {
  /** Of the newest of them. */
  position: number;
  /** Of the checkpoint that vouches for them, which may lie beyond while they are being dropped. */
  dropTo: number;
  /** Null: there is none of that position. */
  checkpoint: StoredCheckpoint | null;
  /** What the heads at `dropTo` come to, of what is kept. */
  chains: number;
  root: string;
  /** A sealed entry tells of the drop. */
  isAnnounced: boolean;
  /** Seals are left of what was dropped. */
  hasRest: boolean;
}

export interface BrokenNote {
  owner: string | null;
  number: number | null;
  position: number | null;
  reason: string;
}

/** The journal in parts, for a verification that goes through all of it over time. */
export interface ChainParts {
  /** `after` null: where the last part ended that `note` told of. */
  read(after: number | null, limit: number): Promise<ChainPart>;
  /** `position`: where the next part begins; 0: at the beginning again. Begins or ends the incident. */
  note(position: number, broken: BrokenNote | null): Promise<void>;
}

export function createChainParts(database: Database, { region }: { region: string }): ChainParts {
  const claims = partClaims("maintenance", region);
  return {
    async read(after, limit) {
      const answer = (await database.rpc("read_chains", { after, limit }, claims)) as PartJson;
      return {
        after: answer.after,
        newest: answer.newest,
        entries: answer.entries.map(toProvenEntry),
        before: toHeads(answer.before),
        heads: toHeads(answer.heads),
        start: answer.start && toPartStart(answer.start),
      };
    },
    async note(position, broken) {
      await database.rpc("note_verified", { position, broken }, claims);
    },
  };
}

interface HeadJson extends ChainHead {
  owner_id: string;
}

interface PartJson {
  after: number;
  newest: number;
  entries: ProvenEntryJson[];
  before: HeadJson[];
  heads: HeadJson[];
  start: StartJson | null;
}

interface StartJson {
  position: number;
  drop_to: number;
  checkpoint: string | null;
  chains: number;
  root: string;
  is_announced: boolean;
  has_rest: boolean;
}

function toPartStart({ drop_to: dropTo, checkpoint: text, ...json }: StartJson): PartStart {
  const { position, chains, root, is_announced: isAnnounced, has_rest: hasRest } = json;
  const checkpoint = text === null ? null : { position: dropTo, text };
  return { position, dropTo, checkpoint, chains, root, isAnnounced, hasRest };
}

function toHeads(heads: HeadJson[]): Map<string, ChainHead> {
  return new Map(heads.map(({ owner_id, number, hash }) => [owner_id, { number, hash }]));
}
