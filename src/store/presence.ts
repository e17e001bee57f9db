import type { OnUncertain } from "../email/email.ts";
import { type Database, serviceClaims } from "./database.ts";

/** A fenced email whose worker is gone and whose reply will never be known. */
export interface Orphan {
  id: string;
  token: number;
  attempt: number;
  attemptsBefore: number;
  maxRetries: number;
  maxAgeSeconds: number;
  /** Since the moment that `maxAgeSeconds` counts from. */
  ageMs: number;
  onUncertain: OnUncertain;
}

export interface TakeOver {
  /** Un-fenced emails that are pending again. */
  released: number;
  /** Processes found dead since the last look. */
  crashedWorkers: number;
  orphans: Orphan[];
}

/** A job to be put into the queue. */
export interface DueEmail {
  id: string;
  wake: number;
  delayMs: number;
}

/** Who lives, what dead ones held, and what belongs into the region's queue. */
export interface Presence {
  /** Says that this process lives. `wasReaped`: the others thought it dead meanwhile. */
  beat(): Promise<{ now: Date; wasReaped: boolean }>;
  /** Leaves in order; what it may still hold is taken over at once. */
  stop(): Promise<void>;
  /** `everything`: all that is sending is an orphan (embedded database at boot). */
  takeOver(options: { everything: boolean }): Promise<TakeOver>;
  /** Another marker than before means that the queue was lost. */
  setQueueMarker(marker: string): Promise<{ isNew: boolean }>;
  queueDue(limit: number): Promise<{ emails: DueEmail[]; hasMore: boolean }>;
  /** Takes back what could not be put into the queue. */
  unqueue(jobs: { id: string; wake: number }[]): Promise<void>;
  countWorkers(): Promise<number>;
  /** False when this database belongs to another encryption key. */
  checkKey(fingerprint: string): Promise<boolean>;
  /** Drops Idempotency-Keys older than 24 h; resolves to how many. */
  forgetIdempotent(): Promise<number>;
}

export interface PresenceOptions {
  workerId: string;
  region: string;
  role: "all" | "api" | "worker";
  replyTimeoutMs: number;
  horizonMs: number;
  /** A worker whose beat is silent for this long is dead. */
  deadAfterMs: number;
}

export function createPresence(database: Database, options: PresenceOptions): Presence {
  const { workerId, region, horizonMs } = options;
  const claims = serviceClaims(`reconciler:${region}`);
  const call = (fn: string, args: unknown) => database.rpc(fn, args, claims);

  return {
    async beat() {
      const answer = (await call("beat", {
        worker_id: workerId,
        region,
        role: options.role,
        reply_timeout_ms: options.replyTimeoutMs,
      })) as { now: string; was_reaped: boolean };
      return { now: new Date(answer.now), wasReaped: answer.was_reaped };
    },
    async stop() {
      await call("stop_worker", { worker_id: workerId });
    },
    async takeOver({ everything }) {
      const answer = (await call("take_over", {
        worker_id: workerId,
        dead_after_ms: options.deadAfterMs,
        everything,
      })) as TakeOverJson;
      return {
        released: answer.released,
        crashedWorkers: answer.crashed_workers,
        orphans: answer.orphans.map(toOrphan),
      };
    },
    async setQueueMarker(marker) {
      const answer = (await call("set_queue_marker", { region, marker })) as { is_new: boolean };
      return { isNew: answer.is_new };
    },
    async queueDue(limit) {
      const answer = (await call("queue_due", {
        region,
        worker_id: workerId,
        horizon_ms: horizonMs,
        limit,
      })) as { emails: { id: string; wake: number; delay_ms: number }[]; has_more: boolean };
      const emails = answer.emails.map(({ id, wake, delay_ms }) => ({
        id,
        wake,
        delayMs: delay_ms,
      }));
      return { emails, hasMore: answer.has_more };
    },
    async unqueue(jobs) {
      await call("unqueue", { items: jobs.map(({ id, wake }) => ({ id, wake })) });
    },
    async countWorkers() {
      return (await call("count_workers", {})) as number;
    },
    async checkKey(fingerprint) {
      return ((await call("check_key", { fingerprint })) as { matches: boolean }).matches;
    },
    async forgetIdempotent() {
      return (await call("forget_idempotent", {})) as number;
    },
  };
}

interface TakeOverJson {
  released: number;
  crashed_workers: number;
  orphans: {
    id: string;
    token: number;
    attempt: number;
    attempts_before: number;
    max_retries: number;
    max_age_seconds: number;
    age_ms: number;
    on_uncertain: OnUncertain;
  }[];
}

function toOrphan(json: TakeOverJson["orphans"][number]): Orphan {
  return {
    id: json.id,
    token: json.token,
    attempt: json.attempt,
    attemptsBefore: json.attempts_before,
    maxRetries: json.max_retries,
    maxAgeSeconds: json.max_age_seconds,
    ageMs: json.age_ms,
    onUncertain: json.on_uncertain,
  };
}
