import { type Claims, type Database, partClaims } from "./database.ts";

/** The scope of a pause: a whole region, or one owner's emails in every region. */
export interface PauseTarget {
  kind: "region" | "owner";
  /** The region's name, or the owner's id. */
  name: string;
}

export interface Pause {
  /** `database`: all sending, since the database was restored or copied. */
  kind: PauseTarget["kind"] | "database";
  /** The region's name, the owner's id, or `restored`. */
  name: string;
  pausedAt: Date;
  /** The admin who asked for it, or the process that found the database restored. */
  pausedBy: string;
  reason: string;
  /** Of the database: what may be sent again. */
  restored?: RestoredReport;
}

/** What a restored or copied database may send again. */
export interface RestoredReport {
  noticedAt: Date;
  /** It does not know what was sent later. */
  knowsUntil: Date;
  /** Emails that were due since then and now; `countMax` may be more. */
  count: number;
  /** The first of them, and the last; null when there are none. */
  first: { id: string; dueAt: Date } | null;
  lastDueAt: Date | null;
}

/** Up to here, in each region, `RestoredReport.count` counts. */
export const restoredCountMax = 10_000;

/** `hold`: what was due between the dump and now waits for a decision each. */
export type RestoredDecision = "send" | "hold";

/** The emergency stop. The database obeys it at every claim and fence. */
export interface Pauses {
  /** Answers the pause in force: an earlier one is left as it is. */
  pause(target: PauseTarget & { reason: string }, by: PauseCaller): Promise<Pause>;
  /** False: it was not paused. Without a reason the journal has none. */
  resume(target: PauseTarget & { reason?: string | null }, by: PauseCaller): Promise<boolean>;
  /** Ends the pause of a restored or copied database. */
  resumeRestored(
    decided: { decision: RestoredDecision; reason?: string | null },
    by: PauseCaller,
  ): Promise<{ wasPaused: boolean; held: number }>;
  /** All that is paused, the oldest first. */
  list(): Promise<Pause[]>;
}

export interface PauseCaller {
  claims: Claims;
  /** The admin's network address, for the journal; null when unknown. */
  origin: string | null;
}

/** In one transaction; each holds a lock on its emails and on the journal. */
const heldAtOnce = 500;
/** A report counts thousands of rows, and pauses are read every second. */
const reportKeptMs = 5_000;

export function createPauses(database: Database): Pauses {
  const readReport = createReportReader(database);
  return {
    async pause({ kind, name, reason }, { claims, origin }) {
      const args = { kind, name, reason, origin };
      return toPause((await database.rpc("pause_sending", args, claims)) as PauseJson);
    },
    async resume({ kind, name, reason = null }, { claims, origin }) {
      const args = { kind, name, reason, origin };
      const answer = await database.rpc("resume_sending", args, claims);
      return (answer as { was_paused: boolean }).was_paused;
    },
    async resumeRestored({ decision, reason = null }, { claims, origin }) {
      const args = { decision, reason, origin, limit: heldAtOnce };
      let held = 0;
      for (;;) {
        const answer = await database.rpc("resume_restored", args, claims);
        const { was_paused: wasPaused, has_more: hasMore, ...step } = answer as ResumedJson;
        held += step.held;
        if (!hasMore) return { wasPaused, held };
      }
    },
    async list() {
      const answer = await database.rpc("list_pauses", {}, partClaims("reconciler"));
      const rows = answer as PauseJson[];
      const isRestored = rows.some(({ kind }) => kind === "database");
      const report = isRestored ? await readReport() : null;
      return rows.map((row) =>
        row.kind === "database" && report !== null
          ? { ...toPause(row), restored: report }
          : toPause(row),
      );
    },
  };
}

function createReportReader(database: Database): () => Promise<RestoredReport | null> {
  let kept: RestoredReport | null = null;
  let readAt = Number.NEGATIVE_INFINITY;
  return async () => {
    if (performance.now() - readAt < reportKeptMs) return kept;
    const args = { count_max: restoredCountMax };
    const answer = await database.rpc("restored_report", args, partClaims("reconciler"));
    kept = answer === null ? null : toReport(answer as ReportJson);
    readAt = performance.now();
    return kept;
  };
}

interface PauseJson {
  kind: Pause["kind"];
  name: string;
  paused_at: string;
  paused_by: string;
  reason: string;
}

interface ResumedJson {
  was_paused: boolean;
  held: number;
  has_more: boolean;
}

interface ReportJson {
  noticed_at: string;
  knows_until: string;
  count: number;
  first_id: string | null;
  first_due_at: string | null;
  last_due_at: string | null;
}

function toPause({ kind, name, paused_at, paused_by, reason }: PauseJson): Pause {
  return { kind, name, pausedAt: new Date(paused_at), pausedBy: paused_by, reason };
}

function toReport(json: ReportJson): RestoredReport {
  const { first_id: id, first_due_at: dueAt, last_due_at: lastDueAt } = json;
  return {
    noticedAt: new Date(json.noticed_at),
    knowsUntil: new Date(json.knows_until),
    count: json.count,
    first: id === null || dueAt === null ? null : { id, dueAt: new Date(dueAt) },
    lastDueAt: lastDueAt === null ? null : new Date(lastDueAt),
  };
}
