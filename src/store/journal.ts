import { type Database, partClaims } from "./database.ts";

/** One thing that happened, as readers see it once it is sealed. */
export interface JournalEntry {
  /** Gapless over the whole journal, from 1; the readers' cursor. */
  position: number;
  /** Gapless per owner, from 1. */
  number: number;
  /** UTC with microseconds: a `Date` would lose what was hashed. */
  at: string;
  ownerId: string;
  /** A sub, or a part of the program such as `taskforce-mailer:worker:local`. */
  actor: string;
  /** From where, when a request caused it. */
  origin: string | null;
  action: string;
  emailId: string | null;
  /** Gapless place within the email, from 1. */
  sequence: number | null;
  /** Codes, states and counts; never content. */
  detail: Record<string, unknown>;
}

/** An entry with what a verifier needs. */
export interface ProvenEntry extends JournalEntry {
  /** The bytes that were hashed: JSON in UTF-8. */
  canonical: Uint8Array;
  /** Hex of sha256(hash of the owner's entry before ‖ canonical). */
  hash: string;
}

/** Where an owner's chain has got to. */
export interface ChainHead {
  number: number;
  /** Hex. */
  hash: string;
}

/** The newest dropped entry of an owner, which the oldest that is kept follows on. */
export interface Anchor extends ChainHead {
  position: number;
}

export interface SealAnswer {
  sealed: number;
  hasMore: boolean;
  /** Another sealer was at it; nothing was done. */
  isBusy: boolean;
  /** Age of the oldest entry known to be left unsealed; 0 when none is. */
  oldestMs: number;
}

export interface Journal {
  /** Gives unsealed entries, at most `limit`, their position, number and hash. */
  seal(limit: number): Promise<SealAnswer>;
  lag(): Promise<{ unsealed: number; oldestMs: number }>;
}

export function createJournal(database: Database): Journal {
  const claims = partClaims("sealer");
  return {
    async seal(limit) {
      const answer = (await database.rpc("seal_journal", { limit }, claims)) as SealJson;
      return {
        sealed: answer.sealed,
        hasMore: answer.has_more,
        isBusy: answer.is_busy,
        oldestMs: answer.oldest_ms,
      };
    },
    async lag() {
      const answer = (await database.rpc("journal_lag", {}, claims)) as LagJson;
      return { unsealed: answer.unsealed, oldestMs: answer.oldest_ms };
    },
  };
}

interface SealJson {
  sealed: number;
  has_more: boolean;
  is_busy: boolean;
  oldest_ms: number;
}

interface LagJson {
  unsealed: number;
  oldest_ms: number;
}

interface EntryJson {
  position: number;
  number: number;
  at: string;
  owner_id: string;
  actor: string;
  origin: string | null;
  action: string;
  email_id: string | null;
  sequence: number | null;
  detail: Record<string, unknown>;
}

/** An entry with its proof, as the database answers it. */
export interface ProvenEntryJson extends EntryJson {
  /** base64. */
  canonical: string;
  hash: string;
}

function toEntry(json: EntryJson): JournalEntry {
  return {
    position: json.position,
    number: json.number,
    at: json.at,
    ownerId: json.owner_id,
    actor: json.actor,
    origin: json.origin,
    action: json.action,
    emailId: json.email_id,
    sequence: json.sequence,
    detail: json.detail,
  };
}

export function toProvenEntry(json: ProvenEntryJson): ProvenEntry {
  const canonical = new Uint8Array(Buffer.from(json.canonical, "base64"));
  return { ...toEntry(json), canonical, hash: json.hash };
}
