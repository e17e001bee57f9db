import type { StoredCheckpoint } from "./audit.ts";
import { type Database, partClaims } from "./database.ts";

/** One part of the periodic work, as it stands. */
export interface MaintenanceRun {
  name: string;
  startedAt: Date;
  /** Null: it is under way, or its process died with it. */
  endedAt: Date | null;
  /** Null until it has ended once. */
  result: MaintenanceResult | null;
}

/**
 * Rows that are kept for a while: webhook deliveries and minutes for 30 days, sessions until they
 * expire. Each kind has its SQL function, `forget_<name>`.
 */
export type Forgettable = "webhook_deliveries" | "minutes" | "sessions";

/** Counts by what they count. */
export type MaintenanceResult = Readonly<Record<string, number>>;

/** One step through old emails, in the order of their ids. */
export interface RetentionStep {
  /** Destroyed, or deleted. */
  count: number;
  /** Where to go on; null: the end was reached. */
  after: string | null;
  /** Somebody else was at it, and nothing was done. */
  isBusy: boolean;
}

/** One step of shortening the journal. */
export interface JournalDropStep {
  /** Entries. */
  dropped: number;
  /** Of the newest entry that was dropped; 0: none was. */
  position: number;
  /** Where the drop under way ends; the same: none is. */
  dropTo: number;
  /** A drop is announced, and begins once its entry is sealed. */
  isWaiting: boolean;
  /** The checkpoint that a next drop may go up to, for its signature to be judged; null: there is none. */
  candidate: StoredCheckpoint | null;
  /** An older email that still has its record is all that keeps entries from going. */
  isHeld: boolean;
  /** Why no drop was announced: see `drop_journal`. */
  refused: "gone" | "broken" | "state" | null;
}

/** What became of the counts of some owners. */
export interface CountsStep {
  owners: number;
  /** Emails that were counted. */
  emails: number;
  /** Owners with more emails than the limit, of whom the dead letters alone were compared. */
  inPart: number;
  /** Owners with more dead letters than that. */
  skipped: number;
  /** How many emails were missing in each count; negative: it was too high. */
  repaired: { ownerId: string; missing: Record<string, number> }[];
  /** The last owner was reached; the next step begins anew. */
  isEnd: boolean;
  /** The sealer is far behind, and nothing was done. */
  isBusy: boolean;
}

/** Periodic work, of which one process in the whole database does each part. */
export interface Maintenance {
  /**
   * True: this process may do it, and has to say so again before `leaseMs` are over. `everyMs`: how long
   * ago it has to have begun; 0: now, unless somebody is at it.
   */
  begin(name: string, options: { everyMs: number; leaseMs: number }): Promise<boolean>;
  end(name: string, result: MaintenanceResult): Promise<void>;
  list(): Promise<MaintenanceRun[]>;
  /** Destroys the content of emails that ended so many days ago. */
  shredOld(days: number, after: string | null): Promise<RetentionStep>;
  /** Deletes emails that ended so many days ago. */
  dropOld(days: number, after: string | null): Promise<RetentionStep>;
  /**
   * Deletes the next entries of the drop under way. `to`: announces one up to there, the candidate of an
   * answer before. `days` null: looks for no candidate.
   */
  dropJournal(drop: { days: number | null; to: number | null }): Promise<JournalDropStep>;
  /** Compares the counts of the next owners with their emails, and repairs them. */
  checkCounts(limits: { owners: number; emails: number }): Promise<CountsStep>;
  /** Deletes at most `limit` rows that have served their time; resolves to how many. */
  forget(rows: Forgettable, limit: number): Promise<number>;
}

/** Looked at in one transaction, which holds the locks of those that have ended. */
const lookedAtOnce = 500;

export function createMaintenance(
  database: Database,
  { workerId, region }: { workerId: string; region: string },
): Maintenance {
  const claims = partClaims("maintenance", region);
  const holder = workerId;
  const call = (fn: string, args: object) => database.rpc(fn, args, claims);
  return {
    async begin(name, { everyMs, leaseMs }) {
      const args = { name, holder, every_ms: everyMs, lease_ms: leaseMs };
      return ((await call("begin_maintenance", args)) as { is_granted: boolean }).is_granted;
    },
    async end(name, result) {
      await call("end_maintenance", { name, holder, result });
    },
    async list() {
      return ((await call("list_maintenance", {})) as RunJson[]).map(toRun);
    },
    async shredOld(days, after) {
      const answer = await call("shred_old", { days, after, limit: lookedAtOnce });
      const { shredded: count, after: next } = answer as { shredded: number; after: string | null };
      return { count, after: next, isBusy: false };
    },
    async dropOld(days, after) {
      const answer = (await call("drop_old", { days, after, limit: lookedAtOnce })) as DroppedJson;
      return { count: answer.dropped, after: answer.after, isBusy: answer.is_busy };
    },
    async dropJournal(drop) {
      return toDropStep((await call("drop_journal", { ...drop, limit: lookedAtOnce })) as DropJson);
    },
    async checkCounts(limits) {
      return toCountsStep((await call("check_counts", limits)) as CountsJson);
    },
    async forget(rows, limit) {
      return (await call(`forget_${rows}`, { limit })) as number;
    },
  };
}

interface DroppedJson {
  dropped: number;
  after: string | null;
  is_busy: boolean;
}

interface DropJson {
  dropped: number;
  position: number;
  drop_to: number;
  is_waiting: boolean;
  candidate: { position: number; checkpoint: string } | null;
  is_held: boolean;
  refused: JournalDropStep["refused"];
}

function toDropStep({ drop_to, is_waiting, is_held, candidate, ...step }: DropJson) {
  const { position = 0, checkpoint: text = "" } = candidate ?? {};
  const flags = { dropTo: drop_to, isWaiting: is_waiting, isHeld: is_held };
  return { ...step, ...flags, candidate: candidate && { position, text } };
}

interface CountsJson {
  owners: number;
  emails: number;
  in_part: number;
  skipped: number;
  repaired: ({ owner_id: string } & Record<string, number | string>)[];
  is_end: boolean;
  is_busy: boolean;
}

function toCountsStep({ in_part, is_end, is_busy, repaired, ...step }: CountsJson): CountsStep {
  const repairs = repaired.map(({ owner_id: ownerId, ...missing }) => ({
    ...{ ownerId, missing: missing as Record<string, number> },
  }));
  return { ...step, inPart: in_part, isEnd: is_end, isBusy: is_busy, repaired: repairs };
}

interface RunJson {
  name: string;
  started_at: string;
  ended_at: string | null;
  result: MaintenanceResult | null;
}

function toRun({ name, started_at, ended_at, result }: RunJson): MaintenanceRun {
  const endedAt = ended_at === null ? null : new Date(ended_at);
  return { name, startedAt: new Date(started_at), endedAt, result };
}
