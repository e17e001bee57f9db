import { AsyncLocalStorage } from "node:async_hooks";
import { isAppError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { repeatSteadily } from "../runtime/repeat-steadily.ts";
import { isContended } from "./call-error.ts";
import { type CallOptions, type Claims, type Database, parseAnswer } from "./database.ts";
import { createRecentWriters, type Reader, type WriteMark } from "./recent-writers.ts";
import type { ReplicaConnection, ReplicaFacts } from "./replica-connection.ts";
import { createReplicaLag } from "./replica-lag.ts";

/** Why the primary answered: the replica is behind, or not to be used. */
export type PrimaryReason = "own-write" | "lag" | "conflict" | "down" | "not-a-replica";

export type ReadFrom =
  | { readonly from: "replica" }
  | { readonly from: "primary"; readonly reason: PrimaryReason };

export type ReplicaStatus =
  | { readonly kind: "follows"; readonly lagMs: number }
  | { readonly kind: "down"; readonly reason: string }
  /** It takes writes of its own, or replays another cluster's log. */
  | { readonly kind: "promoted" | "foreign" };

export interface ReadReplica {
  /** The primary; within `serve` the replica, for what only reads. */
  readonly database: Database;
  /** Decides once, for all calls of a request; `told` hears who read, also of one that fails. */
  serve<T>(as: Claims, request: () => Promise<T>, told: (read: ReadFrom) => void): Promise<T>;
  readonly lagMaxMs: number;
  status(): ReplicaStatus;
  /** Whether it answers now, to those who did not just write. */
  readonly isServing: boolean;
  /** Told of every request that was served. */
  onServed(listener: (read: ReadFrom) => void): void;
  start(): void;
  close(): Promise<void>;
}

export interface ReadReplicaDeps {
  primary: Database;
  replica: ReplicaConnection;
  /** A replica further behind does not answer. */
  lagMaxMs: number;
  log: Logger;
}

/**
 * What lists, statuses, the audit trail and statistics are read by. None of these writes, and none
 * decides anything: credentials, changes and what follows a change are the primary's.
 */
const readingFunctions: ReadonlySet<string> = new Set([
  "get_email",
  "list_emails",
  "email_events",
  "queue_stats",
  "due_counts",
  "dead_letter_groups",
  "read_audit",
  "journal_state",
  "list_journal_heads",
  "read_journal_start",
  "list_checkpoints",
  "list_owners",
]);

interface Reading {
  read: ReadFrom;
  /** What the replica must have replayed; rises, so that a request never goes back in time. */
  required: bigint;
  hasWritten: boolean;
}

/** Reads from a replica where it is new enough, and from the primary where it is not. */
export function createReadReplica(deps: ReadReplicaDeps): ReadReplica {
  return new Replica(deps);
}

class Replica implements ReadReplica {
  readonly database: Database;
  readonly lagMaxMs: number;
  private readonly storage = new AsyncLocalStorage<Reading>();
  private readonly writers;
  private readonly lag = createReplicaLag();
  private readonly stopping = new AbortController();
  private readonly listeners: ((read: ReadFrom) => void)[] = [];
  private known: ReplicaFacts | null = null;
  private fault = "not asked yet";
  private system: string | null = null;

  constructor(private readonly deps: ReadReplicaDeps) {
    const { primary, lagMaxMs } = deps;
    this.lagMaxMs = lagMaxMs;
    this.writers = createRecentWriters(primary, { lagMaxMs });
    this.database = {
      ...primary,
      rpc: (fn, args, as, options) => this.rpc(fn, args, as, options),
      ping: () => primary.ping(),
      close: async () => {
        await this.close();
        await primary.close();
      },
    };
  }

  async serve<T>(as: Claims, request: () => Promise<T>, told: (read: ReadFrom) => void) {
    const reading = await this.begin(as);
    try {
      return await this.storage.run(reading, request);
    } finally {
      for (const listener of [...this.listeners, told]) listener(reading.read);
    }
  }

  status(): ReplicaStatus {
    if (this.known === null) return { kind: "down", reason: this.fault };
    const { isReplica, lsn, system } = this.known;
    if (!isReplica || lsn === null) return { kind: "promoted" };
    if (system !== null && this.system !== null && system !== this.system) {
      return { kind: "foreign" };
    }
    return { kind: "follows", lagMs: this.lag.lagOf(lsn, performance.now()) };
  }

  get isServing(): boolean {
    const status = this.status();
    return status.kind === "follows" && status.lagMs < this.lagMaxMs;
  }

  onServed(listener: (read: ReadFrom) => void): void {
    this.listeners.push(listener);
  }

  start(): void {
    const { log } = this.deps;
    const everyMs = Math.min(500, Math.max(50, this.lagMaxMs / 4));
    const { signal } = this.stopping;
    const step = () => this.look();
    void repeatSteadily({ name: "read replica", everyMs, step, log, signal });
  }

  async close(): Promise<void> {
    this.stopping.abort();
    await this.deps.replica.close();
  }

  private async look(): Promise<void> {
    await this.mark(null);
    try {
      this.known = await this.deps.replica.look();
    } catch (error) {
      this.down(error);
      throw error;
    }
  }

  private async mark(reader: Reader): Promise<WriteMark> {
    const mark = await this.writers.mark(reader);
    this.lag.add(mark);
    this.system = mark.system;
    return mark;
  }

  private async begin({ role, sub }: Claims): Promise<Reading> {
    const refused = this.refusal();
    if (refused !== null) return byPrimary(refused);
    const reader = role === "user" ? { ownerId: sub } : "everybody";
    // A primary that does not answer is met again by the request itself, which says so.
    const mark = await this.mark(reader).catch(() => null);
    if (mark === null) return byPrimary("down");
    const { hasWritten } = mark;
    const oldest = this.lag.reachedAt(performance.now() - this.lagMaxMs) ?? mark.lsn;
    return { read: { from: "replica" }, required: hasWritten ? mark.lsn : oldest, hasWritten };
  }

  private refusal(): PrimaryReason | null {
    const status = this.status();
    if (status.kind === "down") return "down";
    if (status.kind !== "follows") return "not-a-replica";
    return status.lagMs < this.lagMaxMs ? null : "lag";
  }

  private async rpc(fn: string, args: unknown, as: Claims, options?: CallOptions) {
    const reading = this.storage.getStore();
    if (reading?.read.from === "replica" && readingFunctions.has(fn)) {
      const answer = await this.ask(reading, { fn, args, as, options });
      if (answer !== undefined) return answer === null ? null : parseAnswer(answer, options);
    }
    return await this.deps.primary.rpc(fn, args, as, options);
  }

  /** undefined: the primary shall answer, this call and the rest of the request. */
  private async ask(reading: Reading, call: Asked) {
    try {
      const found = await this.deps.replica.call({ ...call, required: reading.required });
      if (found !== null) {
        if (found.lsn > reading.required) reading.required = found.lsn;
        return found.answer;
      }
      const reason = this.refusal() ?? (reading.hasWritten ? "own-write" : "lag");
      reading.read = { from: "primary", reason };
    } catch (error) {
      if (isAnswer(error)) throw error;
      if (!isContended(error)) this.down(error);
      const reason = isContended(error) ? "conflict" : "down";
      reading.read = { from: "primary", reason };
    }
    return undefined;
  }

  private down(error: unknown): void {
    this.known = null;
    this.fault = error instanceof Error ? error.message : String(error);
  }
}

function byPrimary(reason: PrimaryReason): Reading {
  return { read: { from: "primary", reason }, required: 0n, hasWritten: false };
}

interface Asked {
  fn: string;
  args: unknown;
  as: Claims;
  options: CallOptions | undefined;
}

/** What a function of ours refuses is an answer, and the primary would give it as well. */
function isAnswer(error: unknown): boolean {
  return (
    isAppError(error) && error.code !== "database_unavailable" && error.code !== "internal_error"
  );
}
