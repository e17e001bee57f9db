import type { Logger } from "../log.ts";
import type { FailPoints } from "../runtime/fail-points.ts";
import type { Attempts, Claim, DueBatch } from "../store/attempts.ts";
import type { Buffer } from "./buffer.ts";
import type { Buffered } from "./buffer-entry.ts";

/**
 * The one way to the next hop: claims what is due before long in batches, straight from the
 * database, and begins each email at its moment as far as permits allow.
 */
export interface Dispatcher {
  /**
   * Something is due in so many milliseconds. Called by accepting, retries, ticks and room given
   * back; a call that is lost costs a second, one too many costs nothing.
   */
  wake(inMs?: number): void;
  /** Begins what is ready, as far as permits allow; to be called when they may allow more. */
  pump(): void;
  /** The last claim left nothing due behind it: an email accepted now delays nobody. */
  readonly isCaughtUp: boolean;
  /** Claims and begins nothing more. */
  stop(): void;
}

/** What the transport lets through now. */
export interface Permits<Permit> {
  /** Emails that may be claimed, and how long before their time; 0 while nothing may be sent. */
  readonly claimable: { count: number; aheadMs: number };
  /** The right to open a conversation for this email; null: not now. */
  tryTake(email: Buffered): Permit | null;
}

export interface DispatcherDeps<Permit> {
  attempts: Pick<Attempts, "claimDue">;
  region: string;
  /** Regions in which nothing can send, whose due emails are claimed too. Default: none. */
  silentRegions?: () => readonly string[];
  buffer: Buffer;
  permits: Permits<Permit>;
  /** Takes an email to its settled end; true: an attempt was made. Never rejects. */
  deliver: (email: Buffered, permit: Permit) => Promise<boolean>;
  /** Returns claims for other workers to take. Never rejects. */
  giveBack: (claims: Claim[], reason: string) => Promise<void>;
  /** A claim is asked for; the answer ends it. `lose`: emails may be ours that nobody here holds. */
  askForBatch: () => { end(): void; lose(): void };
  /** A claim came back full: other processes may help. */
  onFull: () => void;
  failPoints: FailPoints;
  log: Logger;
}

/** An email is claimed at most so long before its time. */
export const prefetchMs = 1_500;
/** Without a word from anybody it is looked so often: what other processes accepted, and retries. */
const pollMs = 1_000;
/** An email that is due before the next look is claimed this long before its time. */
const leadMs = 250;
/** What becomes due meanwhile travels in the same call. */
const gatherMs = 4;
/** Emails of one claim: the answer is parsed in one turn of the event loop. */
const batchMax = 250;
/** At a steady pace: a larger claim holds up what is due while it is made and read. */
const steadyBatch = 25;
const steadyMsMin = 100;
/** After a claim that failed. */
const retryMs = 500;

export function createDispatcher<Permit>(deps: DispatcherDeps<Permit>): Dispatcher {
  return new ClaimingDispatcher(deps);
}

class ClaimingDispatcher<Permit> implements Dispatcher {
  private isStopped = false;
  private isClaiming = false;
  private isWanted = false;
  /** Unknown at first, so that nothing accepted passes by what waits already. */
  private hasMore = true;
  private readonly after = new Map<string, string>();
  private timer: { at: number; handle: Timer } | null = null;
  private otherRegionsAt = Number.NEGATIVE_INFINITY;
  private askedAt = Number.NEGATIVE_INFINITY;
  /** Emails claimed since then, and the wait that followed from those before. */
  private steady = { since: Number.NEGATIVE_INFINITY, count: 0, waitMs: pollMs };

  constructor(private readonly deps: DispatcherDeps<Permit>) {}

  get isCaughtUp(): boolean {
    return !this.hasMore;
  }

  wake(inMs = 0): void {
    if (inMs > pollMs + leadMs) return;
    if (this.isClaiming && inMs <= prefetchMs) this.isWanted = true;
    else this.lookIn(Math.max(gatherMs, inMs - leadMs));
  }

  pump(): void {
    const { buffer, permits } = this.deps;
    if (this.isStopped) return;
    for (let email = buffer.next(); email; email = buffer.next()) {
      const permit = permits.tryTake(email);
      if (!permit) {
        buffer.putBack(email);
        return;
      }
      void this.run(email, permit);
    }
  }

  stop(): void {
    this.isStopped = true;
    if (this.timer) clearTimeout(this.timer.handle);
  }

  private async run(email: Buffered, permit: Permit): Promise<void> {
    const isAttempted = await this.deps.deliver(email, permit);
    this.deps.buffer.finish(email, isAttempted);
    this.pump();
  }

  private lookIn(inMs: number): void {
    if (this.isStopped) return;
    const at = performance.now() + inMs;
    if (this.timer && this.timer.at <= at) return;
    if (this.timer) clearTimeout(this.timer.handle);
    this.timer = { at, handle: setTimeout(() => void this.look(), inMs) };
  }

  private async look(): Promise<void> {
    if (this.timer) clearTimeout(this.timer.handle);
    this.timer = null;
    if (this.isClaiming) {
      this.isWanted = true;
      return;
    }
    const past = this.deps.buffer.takePast();
    if (past.length > 0) void this.deps.giveBack(past, "not_begun_in_time");
    this.isClaiming = true;
    this.isWanted = false;
    const nextMs = await this.claimAll();
    this.isClaiming = false;
    this.pump();
    this.lookIn(this.isWanted ? Math.min(nextMs, gatherMs) : nextMs);
  }

  /** Answers when to look again, in ms. */
  private async claimAll(): Promise<number> {
    const { region, silentRegions = () => [], log } = this.deps;
    try {
      const nextMs = await this.claimOwn(region);
      if (performance.now() - this.otherRegionsAt >= pollMs) {
        this.otherRegionsAt = performance.now();
        for (const other of silentRegions()) await this.claim(other);
      }
      return nextMs;
    } catch (error) {
      log.warn("claim of due emails failed; trying again", { err: error });
      return retryMs;
    }
  }

  private async claimOwn(region: string): Promise<number> {
    const claimed = await this.claim(region);
    // Room and permits wake when there are some.
    if (!claimed) return pollMs;
    const { batch, limit } = claimed;
    this.hasMore = batch.hasMore;
    // Fewer than half: what is left is owners' who hold their share, or locked. Room wakes.
    if (batch.hasMore && batch.emails.length >= limit / 2) {
      this.deps.onFull();
      return 0;
    }
    const { nextDueInMs } = batch;
    return Math.min(
      this.steadyWaitMs(batch.emails.length),
      nextDueInMs === null ? pollMs : Math.max(gatherMs, nextDueInMs - leadMs),
    );
  }

  /** How long the pace at which emails become due takes for a claim of `steadyBatch`. */
  private steadyWaitMs(claimed: number): number {
    const { steady } = this;
    steady.count += claimed;
    const now = performance.now();
    const sinceMs = Math.min(pollMs, now - steady.since);
    // A look right after another says nothing of the pace.
    if (sinceMs >= steadyMsMin) {
      const waitMs = (sinceMs * steadyBatch) / Math.max(1, steady.count);
      this.steady = { since: now, count: 0, waitMs: clamp(waitMs, steadyMsMin, pollMs) };
    }
    return this.steady.waitMs;
  }

  /** Null: there is no room, or nothing may be sent. */
  private async claim(region: string): Promise<{ batch: DueBatch; limit: number } | null> {
    const { attempts, buffer, permits, giveBack } = this.deps;
    const { free, perOwner, holds } = buffer.room;
    const { count, aheadMs } = permits.claimable;
    const limit = Math.max(0, Math.min(free, batchMax, count));
    if (limit === 0 && !this.isPauseToBeAsked()) return null;
    this.askedAt = performance.now();
    const after = this.after.get(region) ?? "";
    const asked = { region, limit, aheadMs, perOwner, holds, after };
    const asking = this.deps.askForBatch();
    let batch: DueBatch;
    try {
      await this.deps.failPoints("claim.before");
      const suspects = limit > 0 && buffer.suspects === 0;
      const oneBlamed = limit > 0 && !buffer.hasOneBlamed;
      batch = await attempts.claimDue({ ...asked, suspects, oneBlamed });
      await this.deps.failPoints("claim.after");
    } catch (error) {
      asking.lose();
      throw error;
    }
    for (const email of batch.emails) buffer.take(email);
    asking.end();
    this.after.set(region, batch.after);
    const stopped = buffer.takePaused({ isAll: batch.isPaused, owners: batch.pausedOwners });
    if (stopped.length > 0) void giveBack(stopped, "paused");
    return limit === 0 ? null : { batch, limit };
  }

  /** A full buffer, and one that waits for the transport, hears of a pause within the second, too. */
  private isPauseToBeAsked(): boolean {
    return this.deps.buffer.count > 0 && performance.now() - this.askedAt >= pollMs;
  }
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}
