import type { DataKey } from "../crypto/key-ring.ts";
import { isAppError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Verdict } from "../mail/classify.ts";
import { sleep, untilAborted } from "../runtime/abortable.ts";
import type { ClaimedEmail } from "../store/attempts.ts";
import { isContended, sqlStateOf } from "../store/call-error.ts";
import type { ClaimsInMemory } from "./claims-in-memory.ts";
import { type SettleDeps, type Settled, settle } from "./settle.ts";

/**
 * Ends attempts. After the fence no error is final but the end of the process: a settle, or the
 * return of a claim, is repeated on every error until the database has written it. Only the first
 * try is waited for; a settle that repeats holds no permit, connection or place of a worker.
 */
export interface Settling {
  /**
   * Resolves to what was written, or to `repeating` when the first try failed: then it goes on by
   * itself until it is written or `signal` aborts. Rejects only when `signal` ended the first try.
   */
  end(attempt: EndedAttempt, signal: AbortSignal): Promise<Settled | Repeating>;
  /** How many outcomes are known here and not written yet. */
  readonly repeating: number;
  /** SQLSTATE, or what else names the error that keeps them from being written; null: none does. */
  readonly errorCode: string | null;
  /** The database was not there when one of them was tried last; false when none is left. */
  readonly isDatabaseGone: boolean;
  /** False while so many repeat that nothing more should be claimed. */
  readonly hasRoom: boolean;
  /** Resolves when there is room; rejects when `signal` aborts. */
  awaitRoom(signal: AbortSignal): Promise<void>;
  /** Resolves once nothing repeats. Never rejects. */
  idle(): Promise<void>;
}

export interface EndedAttempt {
  email: ClaimedEmail;
  dataKey: DataKey | null;
  verdict: Verdict;
}

/** The outcome is known and could not be written yet; it is repeated in the background. */
export interface Repeating {
  kind: "repeating";
}

export interface SettlingDeps extends SettleDeps {
  claimsInMemory: Pick<ClaimsInMemory, "keep">;
  log: Logger;
}

export interface SettlingOptions {
  firstPauseMs?: number;
  /** Between two tries; a database that is back is found within this time. */
  longestPauseMs?: number;
}

/** From this try on without the words of the reply, unless the database was just not there. */
const reducedFromTry = 4;
/** Sent emails whose outcome is not written are sent again if the process dies: at most so many. */
const repeatingMax = 1_000;
const logEveryMs = 60_000;

export function createSettling(deps: SettlingDeps, options: SettlingOptions = {}): Settling {
  return new Settler(deps, { firstPauseMs: 100, longestPauseMs: 2_000, ...options });
}

class Settler implements Settling {
  private readonly open = new Set<Promise<unknown>>();
  private roomWaiters: (() => void)[] = [];
  private lastError: { code: string; isAway: boolean } | null = null;
  private loggedAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly deps: SettlingDeps,
    private readonly pauses: Required<SettlingOptions>,
  ) {}

  get repeating(): number {
    return this.open.size;
  }

  get errorCode(): string | null {
    return this.open.size === 0 ? null : (this.lastError?.code ?? null);
  }

  get isDatabaseGone(): boolean {
    return this.open.size > 0 && (this.lastError?.isAway ?? false);
  }

  get hasRoom(): boolean {
    return this.open.size < repeatingMax;
  }

  async awaitRoom(signal: AbortSignal): Promise<void> {
    while (!this.hasRoom) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.roomWaiters.push(resolve);
      await untilAborted(promise, signal);
    }
  }

  async idle(): Promise<void> {
    while (this.open.size > 0) await Promise.allSettled([...this.open]);
  }

  async end(attempt: EndedAttempt, signal: AbortSignal): Promise<Settled | Repeating> {
    const drop = this.deps.claimsInMemory.keep(attempt.email);
    try {
      const settled = await this.settle(attempt, false);
      drop();
      return settled;
    } catch (error) {
      this.logFirst(attempt.email, error);
      // Messages of 64 kB each are not kept for as long as this may take.
      const kept = { ...attempt, email: { ...attempt.email, message: null } };
      this.keep(this.repeat(kept, error, signal).finally(drop));
      return { kind: "repeating" };
    }
  }

  private async settle(
    { email, dataKey, verdict }: EndedAttempt,
    isReduced: boolean,
  ): Promise<Settled> {
    return await settle(this.deps, email, dataKey, verdict, { isReduced });
  }

  private keep(run: Promise<unknown>): void {
    const ended = run.then(
      () => {},
      // The process ends: others settle it as uncertain.
      () => {},
    );
    this.open.add(ended);
    void ended.then(() => {
      this.open.delete(ended);
      if (!this.hasRoom) return;
      for (const wake of this.roomWaiters.splice(0)) wake();
    });
  }

  private async repeat(
    attempt: EndedAttempt,
    firstError: unknown,
    signal: AbortSignal,
  ): Promise<void> {
    const { firstPauseMs, longestPauseMs } = this.pauses;
    const startedAt = performance.now();
    // A database that is down says nothing of the words.
    let refusals = isUnavailable(firstError) ? 0 : 1;
    let pauseMs = firstPauseMs;
    for (let tries = 2; ; tries++) {
      await sleep(pauseMs, signal);
      pauseMs = Math.min(pauseMs * 2, longestPauseMs);
      const isReduced = refusals >= reducedFromTry - 1;
      try {
        const { kind } = await this.settle(attempt, isReduced);
        this.deps.log.info("outcome written after repeated tries", {
          email_id: attempt.email.id,
          count: tries,
          duration_ms: Math.round(performance.now() - startedAt),
          reason: kind,
          ...(isReduced && { hint: "written without the words of the reply" }),
        });
        return;
      } catch (error) {
        if (!isUnavailable(error)) refusals += 1;
        this.note(error);
        this.logSteadily(error);
      }
    }
  }

  private note(error: unknown): void {
    // A row that somebody has locked says nothing of the database.
    const isAway = isUnavailable(error) && !isContended(error);
    this.lastError = { code: codeOf(error), isAway };
  }

  private logFirst(email: ClaimedEmail, error: unknown): void {
    this.note(error);
    const level = isUnavailable(error) ? "warn" : "error";
    this.deps.log[level]("outcome could not be written; repeating until it is", {
      email_id: email.id,
      claim_token: email.token,
      code: codeOf(error),
      err: error,
    });
    if (this.loggedAt === Number.NEGATIVE_INFINITY) this.loggedAt = performance.now();
  }

  private logSteadily(error: unknown): void {
    if (performance.now() - this.loggedAt < logEveryMs) return;
    this.loggedAt = performance.now();
    this.deps.log.error("outcomes of attempts are still not written; repeating", {
      count: this.open.size,
      code: codeOf(error),
      err: error,
      hint: "do not stop this process before they are: their emails would be sent again",
    });
  }
}

function isUnavailable(error: unknown): boolean {
  return isAppError(error, "database_unavailable");
}

/** For the log and `/health`: SQLSTATE when the database refused, else the kind of the error. */
function codeOf(error: unknown): string {
  const state = sqlStateOf(error);
  if (state !== null) return state;
  if (isAppError(error)) return error.code;
  return error instanceof Error ? error.name : "unknown";
}
