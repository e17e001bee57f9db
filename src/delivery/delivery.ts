import type { Logger } from "../log.ts";
import type { Ticks } from "../queue/ticks.ts";
import { within } from "../runtime/abortable.ts";
import type { Claim, ClaimedEmail } from "../store/attempts.ts";
import { type AttemptDeps, attempt, type DeliverySignals } from "./attempt.ts";
import { type Buffer, createBuffer, type Reservation } from "./buffer.ts";
import type { Buffered } from "./buffer-entry.ts";
import type { ClaimsInMemory } from "./claims-in-memory.ts";
import { createDispatcher, type Dispatcher } from "./dispatcher.ts";
import type { Breaker } from "./limits/breaker.ts";
import type { RateLimit } from "./limits/rate-limit.ts";
import { createPermits, type Permit } from "./permits.ts";
import type { Settled } from "./settle.ts";
import type { Repeating, Settling } from "./settling.ts";

/** Sends the emails of a worker process: buffer, permits and dispatcher together. */
export interface Delivery {
  /** Begins to claim and send. Before that, and in a process that only accepts, nothing is taken. */
  start(): void;
  /**
   * Room for an email that is due as it is accepted, so that the accepting transaction may claim
   * it; null: it is stored as pending, and found by the next claim.
   */
  reserve(email: { ownerId: string; messageBytes: number }): Reservation | null;
  /** Something is due in so many milliseconds. */
  wake(inMs?: number): void;
  /**
   * To be asked before this process changes, holds or cancels these emails. Told afterwards which were
   * changed, by default all, it forgets their claims of before: those made since stay.
   */
  revoking(ids: readonly string[]): (changed?: readonly string[]) => void;
  /** Returns what waits in the buffer: its claims may be lost. Never rejects. */
  returnBuffered(reason: string): Promise<void>;
  /** Ids of the emails whose content is decrypted or sent now, or may be before the next beat. */
  readonly begun: readonly string[];
  /** Emails that are being delivered right now, or whose outcome is yet to be written. */
  readonly active: number;
  /** Emails that are claimed and wait for their moment or their turn. */
  readonly buffered: number;
  /**
   * Claims nothing more; returns what is not fenced, without spending an attempt; waits for what
   * is. At `deadlineMs` whatever is left is settled as uncertain. Never rejects.
   */
  drain(deadlineMs: number): Promise<void>;
}

export interface DeliveryDeps extends AttemptDeps {
  region: string;
  breaker: Breaker;
  rateLimit: RateLimit;
  claimsInMemory: ClaimsInMemory;
  settling: Settling;
  ticks: Pick<Ticks, "wakeOthers">;
  /** Regions in which nothing can send: their due emails are claimed here too. */
  silentRegions: () => readonly string[];
  /** Told of every email whose attempt begins. */
  onBegun: (email: ClaimedEmail) => void;
  /** Attempts begun at once. */
  begunMax: number;
  log: Logger;
}

/** At most this much of the drain's time is kept for settling what did not end by itself. */
const settleReserveMs = 2_000;

export function createDelivery(deps: DeliveryDeps): Delivery {
  return new SmtpDelivery(deps);
}

class SmtpDelivery implements Delivery {
  private readonly drainController = new AbortController();
  private readonly endController = new AbortController();
  private readonly running = new Map<string, Promise<Delivered>>();
  private readonly buffer: Buffer;
  private readonly dispatcher: Dispatcher;
  private isStarted = false;

  constructor(private readonly deps: DeliveryDeps) {
    const { breaker, rateLimit, claimsInMemory, settling, attempts } = deps;
    this.buffer = createBuffer({
      begunMax: deps.begunMax,
      claimsInMemory,
      onReady: () => this.dispatcher.pump(),
      onRoom: () => this.dispatcher.wake(),
      onLate: (claim) => void this.giveBack([claim], "draining"),
      // A claim that is not told so finds out at its fence.
      findRevoked: (claims) => attempts.findRevoked(claims).catch(() => []),
    });
    const { buffer } = this;
    this.dispatcher = createDispatcher<Permit>({
      ...{ attempts, buffer, region: deps.region, log: deps.log },
      permits: createPermits({
        ...{ breaker, rateLimit, buffer },
        hasRoom: () => settling.hasRoom,
        // As many as are begun at once find it out; the look each second begins again.
        canFence: () => !settling.isDatabaseGone || settling.repeating < deps.begunMax,
      }),
      deliver: (email, permit) => this.deliver(email, permit),
      giveBack: (claims, reason) => this.giveBack(claims, reason),
      askForBatch: claimsInMemory.askForAny,
      silentRegions: deps.silentRegions,
      failPoints: deps.failPoints,
      onFull: () => deps.ticks.wakeOthers(),
    });
    const letOn = (): void => {
      this.dispatcher.pump();
      this.dispatcher.wake();
    };
    breaker.onChange = letOn;
    rateLimit.onRoom = letOn;
  }

  get begun(): readonly string[] {
    return [...this.running.keys(), ...this.buffer.upcoming];
  }

  get active(): number {
    return this.running.size + this.deps.settling.repeating;
  }

  get buffered(): number {
    return this.buffer.count - this.running.size;
  }

  start(): void {
    this.isStarted = true;
    this.dispatcher.wake();
  }

  // Both are handed on as they are, without this object.
  readonly reserve = (email: { ownerId: string; messageBytes: number }): Reservation | null => {
    const { breaker, settling } = this.deps;
    const isFit = this.dispatcher.isCaughtUp && breaker.isOpenWide && settling.hasRoom;
    return this.isStarted && isFit ? this.buffer.reserve(email) : null;
  };

  readonly revoking = (ids: readonly string[]) => this.buffer.revoking(ids);

  wake(inMs?: number): void {
    if (this.isStarted) this.dispatcher.wake(inMs);
  }

  async returnBuffered(reason: string): Promise<void> {
    await this.giveBack(this.buffer.takePaused({ isAll: true, owners: [] }), reason);
  }

  async drain(deadlineMs: number): Promise<void> {
    const reserveMs = Math.min(settleReserveMs, deadlineMs * 0.15);
    this.dispatcher.stop();
    this.drainController.abort(new Error("draining"));
    const returned = this.giveBack(this.buffer.drain(), "draining");
    void returned.then(() => this.deps.ticks.wakeOthers());
    const allEnded = async () => {
      await Promise.all([returned, ...this.running.values()]);
      await this.deps.settling.idle();
    };
    await within(allEnded(), deadlineMs - reserveMs);
    this.endController.abort(new Error("out of time"));
    await within(allEnded(), reserveMs / 2);
    this.deps.log.info("worker drained", { count: this.active });
  }

  /** Never rejects; true: an attempt was made. */
  private async deliver(email: Buffered, permit: Permit): Promise<boolean> {
    const { id } = email.email;
    const signals = { drain: this.drainController.signal, end: this.endController.signal };
    const run = deliverOne(this.deps, email, permit, signals);
    this.running.set(id, run);
    const { kind } = await run;
    if (this.running.get(id) === run) this.running.delete(id);
    return kind === "settled" || kind === "repeating";
  }

  /** In calls of many. A claim that is not reached so is found by the self-audit. Never rejects. */
  private async giveBack(claims: Claim[], reason: string): Promise<void> {
    const { attempts, claimsInMemory, log } = this.deps;
    const ends = await Promise.allSettled(
      claims.map(({ id, token }) => {
        const drop = claimsInMemory.keep({ id, token });
        return attempts.release({ id, token, reason, delayMs: 0 }).finally(drop);
      }),
    );
    const failed = ends.find((end) => end.status === "rejected");
    if (!failed) return;
    log.warn("claims could not be returned", { count: claims.length, err: failed.reason });
  }
}

/** How an email that was begun left this process again. */
export type Delivered =
  | Settled
  /** It was tried; what came of it is yet to be written, in the background. */
  | Repeating
  /** A fault of ours, or the end of the process: the self-audit or others find it. */
  | { kind: "failed" };

/** Takes a claimed email to its settled end. Never rejects. */
export async function deliverOne(
  deps: DeliveryDeps,
  buffered: Buffered,
  permit: Permit,
  signals: DeliverySignals,
): Promise<Delivered> {
  const email = aged(buffered);
  const log = deps.log.with({ email_id: email.id, claim_token: email.token });
  try {
    await deps.failPoints("begin.before", email.id);
    deps.onBegun(email);
    const { opened } = buffered;
    const turn = { ...permit, ...(opened && { opened }) };
    const { verdict, dataKey } = await attempt(deps, email, turn, signals);
    // Given back before the outcome is written, which may take long.
    permit.release();
    await deps.failPoints("settle.before", email.id);
    const settled = await deps.settling.end({ email, dataKey, verdict }, signals.end);
    await deps.failPoints("settle.after", email.id);
    logSettled(log, settled);
    return settled;
  } catch (error) {
    if (!signals.drain.aborted) log.error("delivery failed", { err: error });
    return { kind: "failed" };
  } finally {
    permit.release();
  }
}

/** It has grown older since its claim. */
function aged(buffered: Buffered): ClaimedEmail {
  const { email } = buffered;
  return { ...email, ageMs: Math.max(0, email.ageMs + Math.round(buffered.heldMs())) };
}

function logSettled(log: Logger, settled: Settled | Repeating): void {
  switch (settled.kind) {
    case "settled":
      log.info("attempt settled", { state: settled.state, outcome: settled.outcome });
      return;
    case "released":
      log.info("claim returned", { reason: settled.reason });
      return;
    case "repeating":
      // Its settle says so, and when it is written.
      return;
    case "dropped":
      log.debug("claim was revoked");
  }
}
