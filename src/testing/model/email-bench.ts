import { createKeyRing } from "../../crypto/create-key-ring.ts";
import { type Settled, settle, settleOrphan } from "../../delivery/settle.ts";
import type { Verdict } from "../../mail/classify.ts";
import { type Attempts, type ClaimedEmail, createAttempts } from "../../store/attempts.ts";
import type { Database } from "../../store/database.ts";
import { createEmails, type Emails } from "../../store/emails.ts";
import { createJournal } from "../../store/journal.ts";
import { createPresence, type Presence } from "../../store/presence.ts";
import type { DirectSql } from "../servers/direct-sql.ts";
import { replyTimeoutMs, unitMs } from "./email-model.ts";

/** One worker process as the database sees it. */
export interface BenchWorker {
  readonly id: string;
  readonly attempts: Attempts;
  readonly presence: Presence;
  settle(email: ClaimedEmail, verdict: Verdict): Promise<Settled>;
  /** Frees what dead workers held, and settles orphans; the ids of those it settled. */
  takeOver(): Promise<string[]>;
}

/** The stored row of an email, read past the functions. */
export interface EmailRow {
  id: string;
  state: string;
  token: number;
  is_fenced: boolean;
  worker_id: string | null;
  attempts: number;
  attempts_before: number;
  sequence: number;
  sequences: number[];
  recipients: string[];
  outcomes: string[];
}

/** Longer than a run takes, so that nobody falls silent of himself. */
const deadAfterMs = 30_000;

export function createBenchWorker(database: Database): BenchWorker {
  const id = Bun.randomUUIDv7();
  const attempts = createAttempts(database, {
    workerId: id,
    region: "local",
    transport: "bench",
  });
  const presence = createPresence(database, {
    workerId: id,
    region: "local",
    role: "worker",
    replyTimeoutMs,
    deadAfterMs,
  });
  const ticks = { add() {} };
  const keyRing = createKeyRing({ current: "ab".repeat(32), old: [] });
  const rest = { transport: "bench", minuteMs: unitMs, random: () => 0 };
  const deps = { attempts, ticks, keyRing, ...rest };
  return {
    id,
    attempts,
    presence,
    settle: (email, verdict) => settle(deps, email, null, verdict),
    async takeOver() {
      const { orphans } = await presence.takeOver({ everything: false });
      const settled: string[] = [];
      for (const orphan of orphans) {
        const { kind } = await settleOrphan(deps, orphan);
        if (kind === "settled") settled.push(orphan.id);
      }
      return settled;
    },
  };
}

export interface EmailBench {
  readonly emails: Emails;
  rows(ids: string[]): Promise<Map<string, EmailRow>>;
  /** Claims this email and no other; null: it is not to be had, or ended for being late. */
  claim(by: Attempts, id: string, options: { suspects: boolean }): Promise<ClaimedEmail | null>;
  /** Moves everything about these emails so many units into the past. */
  shift(ids: string[], units: number): Promise<void>;
  /** Makes a worker's heartbeat older than others wait for. */
  silence(workerId: string): Promise<void>;
  /** How many emails are in each state by the counts, of sealed and unsealed entries together. */
  counts(): Promise<Record<string, number>>;
  /** The same of these emails by the rows themselves. */
  countRows(ids: string[]): Promise<Record<string, number>>;
  /** Seals the oldest unsealed entries, at most so many. */
  seal(limit: number): Promise<void>;
  /** A run leaves nothing that a later one would have to take over. */
  forget(ids: string[], workerIds: string[]): Promise<void>;
}

const columns = `
  e.id, e.state, e.claim_token::integer as token, e.fenced_at is not null as is_fenced,
  e.worker_id, e.attempts, e.attempts_before, e.sequence,
  array(select j.sequence from mailer.journal j
    where j.email_id = e.id and j.sequence is not null order by j.id) as sequences,
  array(select r.status from mailer.recipients r
    where r.email_id = e.id order by r.position) as recipients,
  array(select a.outcome from mailer.attempts a
    where a.email_id = e.id order by a.number) as outcomes`;

export function createEmailBench(database: Database, sql: DirectSql): EmailBench {
  return {
    emails: createEmails(database),
    async rows(ids) {
      const query = `select ${columns} from mailer.emails e where e.id = any ($1)`;
      const rows = await sql.query(query, [ids]);
      return new Map(rows.map((row) => [String(row.id), row as unknown as EmailRow]));
    },
    async claim(by, id, { suspects }) {
      // A claim is for whatever is due in a region, so that the email is alone in one meanwhile.
      const region = `alone-${id}`;
      const move = (to: string) =>
        sql.query("update mailer.emails set region = $2 where id = $1", [id, to]);
      const asked = { region, limit: 1, aheadMs: 0, perOwner: 1, holds: {}, after: "", suspects };
      await move(region);
      try {
        return (await by.claimDue(asked)).emails[0] ?? null;
      } finally {
        await move("local");
      }
    },
    async shift(ids, units) {
      const past = `- interval '${units * unitMs} ms'`;
      const moved = ["next_attempt_at", "scheduled_at", "expires_at", "claimed_at", "fenced_at"]
        .map((column) => `${column} = ${column} ${past}`)
        .join(", ");
      await sql.query(`update mailer.emails set ${moved} where id = any ($1)`, [ids]);
      // Living workers have been heard all the while.
      await sql.query(
        `update mailer.workers set steady_since = steady_since ${past},
           beat_at = clock_timestamp() where reaped_at is null`,
      );
    },
    async silence(workerId) {
      await sql.query(
        `update mailer.workers set reaped_at = clock_timestamp(),
           beat_at = clock_timestamp() - interval '1 minute' where id = $1`,
        [workerId],
      );
    },
    async counts() {
      const [row] = await sql.query(
        "select mailer.email_counts_of(null) - 'accepted' as counts",
        [],
      );
      return row?.counts as Record<string, number>;
    },
    async countRows(ids) {
      const query = `select mailer.shown_state(e.state, e.fenced_at) as state, count(*)::integer as n
        from mailer.emails e where e.id = any ($1) group by 1`;
      const rows = await sql.query(query, [ids]);
      return Object.fromEntries(rows.map(({ state, n }) => [String(state), Number(n)]));
    },
    async seal(limit) {
      await createJournal(database).seal(limit);
    },
    async forget(ids, workerIds) {
      await sql.query("delete from mailer.emails where id = any ($1)", [ids]);
      await sql.query("delete from mailer.workers where id = any ($1)", [workerIds]);
    },
  };
}
