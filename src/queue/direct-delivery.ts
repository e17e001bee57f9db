import { createTurns } from "../mail/turns.ts";
import type { ClaimedEmail } from "../store/attempts.ts";
import type { OpenedEmail } from "./encrypt-email.ts";
import type { Standing } from "./headroom.ts";

/**
 * The short way for an email that is due as it is accepted: its message is here already, so the
 * database claims it in the same transaction, and it goes to the next hop without a job that wakes
 * a worker, a claim of its own, and the message read back. What finds no place here goes by the
 * queue, as does everything that is due later.
 *
 * And the place where emails of a flood wait for their moment, claimed a few seconds before it:
 * at the moment itself they only have to be sent.
 */
export interface DirectDelivery {
  /** A place for an email that is due; null: there is none. To be used up by one of its methods. */
  reserve(email: { ownerId: string; messageBytes: number }): DirectPlace | null;
  /** Whether another may be claimed before its time, to be held here until then. */
  readonly hasRoomAhead: boolean;
  /** Takes one that was; it is delivered `dueInMs` from now. */
  holdUntilDue(email: ClaimedEmail): void;
  /** Waiting for their turn, or being delivered. */
  readonly held: number;
  /** False: who has its turn now is to be given back, and goes by the queue. */
  readonly isFit: boolean;
  /** A worker is there to deliver. */
  open(courier: Courier): void;
  /** It has delivered one that came by the queue: how much it can do shows in all of them. */
  countDelivered(): void;
  /** No more places; who waits has its turn at once, to be given back. */
  close(): void;
}

/** Where an email waits for its turn. */
export interface DirectPlace {
  /** It was claimed. */
  deliver(email: ClaimedEmail, opened: OpenedEmail): void;
  /** Nobody knows whether it was: the answer got lost. */
  recover(emailId: string): void;
  /** It was not. */
  forgo(): void;
}

/** What the worker does with an email that has its turn. Neither rejects. */
export interface Courier {
  /** `opened` null: it was claimed before its time, and is not decrypted yet. */
  deliver(email: ClaimedEmail, opened: OpenedEmail | null, standing: Standing): Promise<void>;
  /** It goes by the queue, where the next claim judges how late it is. */
  giveBack(email: ClaimedEmail): Promise<void>;
  recover(emailId: string): Promise<void>;
}

export interface DirectDeliveryOptions {
  /** Emails that are delivered at the same time. */
  runningMax: number;
  /** False: all go by the queue, as when the transport is down or has a limit to keep. */
  isFit: () => boolean;
  /** A steady clock in ms; a test gives its own. */
  now?: () => number;
}

/**
 * More than the worker delivers in this time is not held: the queue is there for others to help, and what
 * is held by a process that dies waits until it is known to be dead.
 */
const aheadSeconds = 2;
/** Held at least, for each that is delivered at the same time: nothing is known at the start. */
const heldPerRunning = 8;
const heldMax = 3_000;
const heldBytesMax = 32 * 1024 * 1024;
/** Larger ones are not kept here: the worker reads them when it is their turn. */
const messageBytesMax = 64 * 1024;
/** With so many of an owner's own before it, an email is behind a flood. */
const behindMin = 20;
/** Held ahead of their time: what the last day's best pace sends in so many seconds; at most this. */
const aheadDeliveredSeconds = 5;
export const aheadMax = 5_000;
/** Of their ciphertext. */
const aheadBytesMax = 32 * 1024 * 1024;
/**
 * Who has no turn so long after its time is given back: it takes twice what it should, so that
 * others may help, and whether an email is too late to send is asked at its claim.
 */
const pastDueMsMax = 10_000;

/** What is held of one kind. */
interface Held {
  count: number;
  bytes: number;
}

export function createDirectDelivery(options: DirectDeliveryOptions): DirectDelivery {
  return new DirectLine(options);
}

class DirectLine implements DirectDelivery {
  private courier: Courier | null = null;
  private isClosed = false;
  private readonly turns = createTurns<() => void>();
  /** Emails of each owner that are held. */
  private readonly owners = new Map<string, number>();
  private readonly atOnce: Held = { count: 0, bytes: 0 };
  private readonly ahead: Held = { count: 0, bytes: 0 };
  /** Those that wait for their time, by that time; of one time, one timer. */
  private readonly alarms = new Map<number, { timer: Timer; waits: (() => void)[] }>();
  private running = 0;
  /** Of the last minute, and of the last day. */
  private readonly pace: Pace;
  private readonly bestPace: Pace;
  private readonly now: () => number;

  constructor(private readonly options: DirectDeliveryOptions) {
    this.now = options.now ?? performance.now.bind(performance);
    this.pace = createPace(this.now, 60);
    this.bestPace = createPace(this.now, 86_400);
  }

  get held(): number {
    return this.atOnce.count + this.ahead.count;
  }

  get isFit(): boolean {
    return !this.isClosed && this.options.isFit();
  }

  open(courier: Courier): void {
    this.courier = courier;
  }

  countDelivered(): void {
    this.pace.count();
    this.bestPace.count();
  }

  close(): void {
    this.isClosed = true;
    for (const at of [...this.alarms.keys()]) this.ring(at);
    this.pump();
  }

  reserve({ ownerId, messageBytes }: { ownerId: string; messageBytes: number }) {
    const { count, bytes } = this.atOnce;
    const hasRoom = count < this.room() && bytes + messageBytes <= heldBytesMax;
    if (!this.courier || messageBytes > messageBytesMax || !hasRoom) return null;
    return this.isFit ? this.place(this.courier, ownerId, messageBytes) : null;
  }

  get hasRoomAhead(): boolean {
    const { count, bytes } = this.ahead;
    const room = Math.max(this.leastRoom, this.bestPace.perSecond * aheadDeliveredSeconds);
    const hasRoom = count < Math.min(aheadMax, room) && bytes < aheadBytesMax;
    return this.courier !== null && hasRoom && this.isFit;
  }

  holdUntilDue(email: ClaimedEmail): void {
    const { courier } = this;
    if (!courier) throw new Error("held before there was a worker");
    const { ownerId, dueInMs } = email;
    const bytes = email.message?.length ?? 0;
    const standing = this.hold(this.ahead, ownerId, bytes);
    const heldAt = this.now();
    const begin = () => {
      const heldMs = this.now() - heldAt;
      const aged = { ...email, ageMs: email.ageMs + Math.round(heldMs) };
      const isPast = heldMs - dueInMs > pastDueMsMax;
      const work = () => (isPast ? courier.giveBack(aged) : courier.deliver(aged, null, standing));
      this.run(work, () => this.giveBack(this.ahead, ownerId, bytes), { isDelivered: !isPast });
    };
    const wait = () => this.turns.add(ownerId, begin);
    this.atTime(Math.ceil(heldAt + dueInMs), wait);
    if (this.isClosed) this.close();
  }

  private atTime(at: number, wait: () => void): void {
    const alarm = this.alarms.get(at);
    if (alarm) {
      alarm.waits.push(wait);
      return;
    }
    const timer = setTimeout(() => {
      this.ring(at);
      this.pump();
    }, at - this.now());
    this.alarms.set(at, { timer, waits: [wait] });
  }

  private ring(at: number): void {
    const alarm = this.alarms.get(at);
    if (!alarm) return;
    clearTimeout(alarm.timer);
    this.alarms.delete(at);
    for (const wait of alarm.waits) wait();
  }

  private room(): number {
    return Math.min(heldMax, Math.max(this.leastRoom, this.pace.perSecond * aheadSeconds));
  }

  private get leastRoom(): number {
    return this.options.runningMax * heldPerRunning;
  }

  private place(courier: Courier, ownerId: string, messageBytes: number): DirectPlace {
    const standing = this.hold(this.atOnce, ownerId, messageBytes);
    const giveBack = () => this.giveBack(this.atOnce, ownerId, messageBytes);
    const run = (work: () => Promise<void>) => this.run(work, giveBack);
    return {
      deliver: (email, opened) => {
        this.turns.add(ownerId, () => run(() => courier.deliver(email, opened, standing)));
        // A turn later: whoever is told that it was accepted is told first.
        setImmediate(() => this.pump());
      },
      recover: (emailId) => run(() => courier.recover(emailId)),
      forgo: giveBack,
    };
  }

  private run(work: () => Promise<void>, giveBack: () => void, { isDelivered = true } = {}): void {
    // What goes back to the queue at once says nothing of how fast emails are sent.
    const isCounted = isDelivered && this.isFit;
    this.running += 1;
    void work().finally(() => {
      this.running -= 1;
      if (isCounted) this.countDelivered();
      giveBack();
      this.pump();
    });
  }

  private hold(held: Held, ownerId: string, bytes: number): Standing {
    const before = this.owners.get(ownerId) ?? 0;
    this.owners.set(ownerId, before + 1);
    held.count += 1;
    held.bytes += bytes;
    return { line: Bun.hash.xxHash32(ownerId), isBehind: before >= behindMin };
  }

  private giveBack(held: Held, ownerId: string, bytes: number): void {
    const left = (this.owners.get(ownerId) ?? 1) - 1;
    if (left === 0) this.owners.delete(ownerId);
    else this.owners.set(ownerId, left);
    held.count -= 1;
    held.bytes -= bytes;
  }

  private pump(): void {
    while (this.isClosed || this.running < this.options.runningMax) {
      const begin = this.turns.next();
      if (!begin) return;
      begin();
    }
  }
}

interface Pace {
  /** Of the busiest second that is remembered: a pause does not make a worker slower. */
  readonly perSecond: number;
  count(): void;
}

function createPace(now: () => number, rememberedSeconds: number): Pace {
  let counted = { second: 0, count: 0 };
  let busiest = counted;

  return {
    get perSecond() {
      const isRecent = now() / 1_000 - busiest.second < rememberedSeconds;
      return Math.max(counted.count, isRecent ? busiest.count : 0);
    },
    count() {
      const second = Math.floor(now() / 1_000);
      if (counted.second !== second) counted = { second, count: 0 };
      counted.count += 1;
      if (counted.count >= busiest.count || second - busiest.second >= rememberedSeconds) {
        busiest = counted;
      }
    },
  };
}
