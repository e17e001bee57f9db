import { sleep, untilAborted } from "../../runtime/abortable.ts";
import type { TransportSlots } from "../../store/transport-slots.ts";
import { createHandOverGuard, type HandOver, type HandOverGuard } from "./hand-over-guard.ts";

/**
 * Keeps a transport's limit of messages a second. The database spaces the slots of all processes;
 * this part admits no more emails than will get a slot soon, and lets no slot that was used late
 * meet the next one: neither of this process, by its own look at what went out, nor of another,
 * by taking a new slot for one that was missed.
 */
export interface RateLimit {
  /** Messages a second; null: no limit. */
  readonly perSecond: number | null;
  /** Null: a slot is not near. `onRoom` is called once another may be admitted. */
  tryAdmit(): Admission | null;
  /** Set by the one who admits. */
  onRoom: () => void;
}

/** One email on its way to its hand-over; every step may be left out but `end`. */
export interface Admission {
  /** Takes a slot and waits until it is near. Rejects when `signal` aborts. */
  awaitSlot(signal: AbortSignal): Promise<void>;
  /** Before the fence: waits for the slot, and until it is within the limit. Rejects on abort. */
  approach(signal: AbortSignal): Promise<void>;
  /** Right before the first byte: waits again where the slot was missed. Rejects on abort. */
  handOver(signal: AbortSignal): Promise<void>;
  /** The next hop has answered, or the connection was lost. */
  answered(): void;
  /** The email is over, whatever became of it. Once more does nothing. */
  end(): void;
}

export interface RateLimitOptions {
  ratePerSecond: number;
  slots: TransportSlots;
}

/** So far ahead slots are taken: enough for a slow claim, and little to wait for in `sending`. */
const aheadMs = 2_000;
/** Claimed and not yet handed over, in messages of so many milliseconds. */
const underWayMs = 8_000;
/**
 * Slots are this much further apart than the limit asks for: at the limit itself the slightest
 * delay of one message would make the next one wait, and so all after it.
 */
export const slotMargin = 0.985;
/**
 * The same where several processes take slots: none knows of the others' delays, so that a message
 * may be late by what this leaves of a second and still not meet those of others.
 */
export const sharedSlotMargin = 0.95;
/** Of that tolerance, what a process may see itself use up; the rest is for what it cannot see. */
const seenShare = 0.8;
/** A slot is waited for in the conversation from so many slots before it on. */
const leadSlots = 4;
const leadMsMax = 50;

export function createRateLimit(options: RateLimitOptions): RateLimit {
  return new SharedRateLimit(options);
}

class SharedRateLimit implements RateLimit {
  onRoom = (): void => {};
  readonly perSecond: number;
  private readonly gapMs: number;
  private readonly lateMsMax: number;
  private readonly underWayMax: number;
  private readonly guard: HandOverGuard;
  private readonly slots: TransportSlots;
  private timer: Timer | null = null;
  private isWaitedFor = false;
  private underWay = 0;
  /** Admitted, without a slot yet. */
  private unreserved = 0;
  private lastSlotAt = 0;

  constructor({ ratePerSecond, slots }: RateLimitOptions) {
    this.perSecond = ratePerSecond;
    this.gapMs = 1_000 / ratePerSecond;
    const windowMs = Math.max(1, Math.floor(ratePerSecond)) * this.gapMs;
    this.lateMsMax = windowMs * (1 / sharedSlotMargin - 1) * seenShare;
    this.underWayMax = Math.max(1, Math.ceil(underWayMs / this.gapMs));
    this.guard = createHandOverGuard(ratePerSecond);
    this.slots = slots;
  }

  tryAdmit(): Admission | null {
    if (this.untilRoom() > 0) {
      this.isWaitedFor = true;
      this.tellOfRoom();
      return null;
    }
    this.underWay += 1;
    this.unreserved += 1;
    return this.admission();
  }

  /** Until the slots taken, and those about to be, are no further ahead than they may be. */
  private untilRoom(): number {
    // One is always let in, however slow the limit is.
    if (this.underWay === 0) return 0;
    if (this.underWay >= this.underWayMax) return Number.POSITIVE_INFINITY;
    const aheadOfNowMs = Math.max(0, this.lastSlotAt - performance.now());
    return aheadOfNowMs + this.unreserved * this.gapMs - aheadMs;
  }

  /** Tells whoever was refused; a limit of messages under way tells when one of them ends. */
  private tellOfRoom(): void {
    if (!this.isWaitedFor) return;
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
    const waitMs = this.untilRoom();
    if (waitMs === Number.POSITIVE_INFINITY) return;
    this.timer = setTimeout(
      () => {
        this.isWaitedFor = false;
        this.onRoom();
      },
      Math.ceil(Math.max(0, waitMs)),
    );
  }

  private admission(): Admission {
    let room: HandOver | null = null;
    let slot = { at: 0, isShared: false };
    const reserved = once(() => {
      this.unreserved -= 1;
    });
    const handedOver = once(() => {
      this.underWay -= 1;
    });
    const pass = async (signal: AbortSignal): Promise<void> => {
      await until(slot.at, signal);
      room = await this.guard.pass(signal);
    };
    return {
      awaitSlot: async (signal) => {
        slot = await this.take(signal);
        reserved();
        this.tellOfRoom();
        await until(slot.at - Math.min(leadMsMax, leadSlots * this.gapMs), signal);
      },
      approach: pass,
      handOver: async (signal) => {
        while (slot.isShared && performance.now() > slot.at + this.lateMsMax) {
          room?.forgo();
          slot = await this.take(signal);
          await pass(signal);
        }
        handedOver();
        this.tellOfRoom();
      },
      answered: () => room?.answered(),
      end: () => {
        room?.answered();
        reserved();
        handedOver();
        this.tellOfRoom();
      },
    };
  }

  private async take(signal: AbortSignal): Promise<{ at: number; isShared: boolean }> {
    const { waitMs, isShared } = await untilAborted(this.slots.reserve(), signal);
    const at = performance.now() + waitMs;
    this.lastSlotAt = Math.max(this.lastSlotAt, at);
    return { at, isShared };
  }
}

async function until(at: number, signal: AbortSignal): Promise<void> {
  const waitMs = at - performance.now();
  if (waitMs > 0) await sleep(waitMs, signal);
}

function once(run: () => void): () => void {
  let hasRun = false;
  return () => {
    if (!hasRun) run();
    hasRun = true;
  };
}

const freeAdmission: Admission = {
  awaitSlot: async () => {},
  approach: async () => {},
  handOver: async () => {},
  answered: () => {},
  end: () => {},
};

/** Nothing to keep. */
export const noRateLimit: RateLimit = {
  perSecond: null,
  tryAdmit: () => freeAdmission,
  onRoom: () => {},
};
