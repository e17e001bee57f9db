import { type Database, partClaims } from "./database.ts";

/** States an email can be in without being done with: waiting, under way, or a dead letter. */
export const unfinishedStates = [
  "pending",
  "sending",
  "failed",
  "uncertain",
  "held",
  "partially_sent",
] as const;

export type UnfinishedState = (typeof unfinishedStates)[number];

/** Those of them that wait for a person. */
export const deadLetterStates = ["failed", "uncertain", "held", "partially_sent"] as const;

/** How things stand in the whole database, whichever process asks. */
export interface Figures {
  /** The database's clock, and what it runs on. */
  now: Date;
  serverVersion: string;
  byStatus: Record<UnfinishedState, number>;
  /** Pending and past its time. */
  due: number;
  /** 0 when none is due. */
  oldestDueMs: number;
  /** Living processes that send. */
  workersAlive: number;
  /** Processes that ended without a goodbye within the last day. */
  workersDied: number;
  /** Journal entries without position and hash, and the age of the oldest. */
  unsealed: number;
  oldestUnsealedMs: number;
  /** Since when the periodic verification finds an entry that does not verify; null: all does. */
  journalBrokenSince: Date | null;
  /** No count goes beyond this. */
  countedMax: number;
  /** Of the encryption key this database is used with; null: not used yet. */
  keyFingerprint: string | null;
}

export interface FigureReader {
  /** One call; a few milliseconds, and about a second at most with millions waiting. */
  read(): Promise<Figures>;
}

export function createFigureReader(database: Database): FigureReader {
  return {
    async read() {
      const json = (await database.rpc("read_figures", {}, partClaims("metrics"))) as FigureJson;
      return {
        now: new Date(json.now),
        serverVersion: json.server_version,
        byStatus: json.by_status,
        due: json.due,
        oldestDueMs: json.oldest_due_ms,
        workersAlive: json.workers_alive,
        workersDied: json.workers_died,
        unsealed: json.unsealed,
        oldestUnsealedMs: json.oldest_unsealed_ms,
        journalBrokenSince:
          json.journal_broken_since === null ? null : new Date(json.journal_broken_since),
        countedMax: json.counted_max,
        keyFingerprint: json.key_fingerprint,
      };
    },
  };
}

interface FigureJson {
  now: string;
  server_version: string;
  by_status: Record<UnfinishedState, number>;
  due: number;
  oldest_due_ms: number;
  workers_alive: number;
  workers_died: number;
  unsealed: number;
  oldest_unsealed_ms: number;
  journal_broken_since: string | null;
  counted_max: number;
  key_fingerprint: string | null;
}
