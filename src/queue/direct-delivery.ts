import { createTurns } from "../mail/turns.ts";
import type { ClaimedEmail } from "../store/attempts.ts";
import type { OpenedEmail } from "./encrypt-email.ts";
import type { Standing } from "./headroom.ts";

/**
 * The short way for an email that is due as it is accepted: its message is here already, so the
 * database claims it in the same transaction, and it goes to the next hop without a job that wakes
 * a worker, a claim of its own, and the message read back. What finds no place here goes by the
 * queue, as does everything that is due later.
 */
export interface DirectDelivery {
  /** A place for an email that is due; null: there is none. To be used up by one of its methods. */
  reserve(email: { ownerId: string; messageBytes: number }): DirectPlace | null;
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
  deliver(email: ClaimedEmail, opened: OpenedEmail, standing: Standing): Promise<void>;
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

export function createDirectDelivery(options: DirectDeliveryOptions): DirectDelivery {
  return new DirectLine(options);
}

class DirectLine implements DirectDelivery {
  private courier: Courier | null = null;
  private isClosed = false;
  private readonly turns = createTurns<() => void>();
  /** Emails of each owner that are held. */
  private readonly owners = new Map<string, number>();
  private heldBytes = 0;
  private running = 0;
  private readonly pace: Pace;
  held = 0;

  constructor(private readonly options: DirectDeliveryOptions) {
    this.pace = createPace(options.now ?? performance.now.bind(performance));
  }

  get isFit(): boolean {
    return !this.isClosed && this.options.isFit();
  }

  open(courier: Courier): void {
    this.courier = courier;
  }

  countDelivered(): void {
    this.pace.count();
  }

  close(): void {
    this.isClosed = true;
    this.pump();
  }

  reserve({ ownerId, messageBytes }: { ownerId: string; messageBytes: number }) {
    const hasRoom = this.held < this.room() && this.heldBytes + messageBytes <= heldBytesMax;
    if (!this.courier || messageBytes > messageBytesMax || !hasRoom) return null;
    return this.isFit ? this.place(this.courier, ownerId, messageBytes) : null;
  }

  private room(): number {
    const least = this.options.runningMax * heldPerRunning;
    return Math.min(heldMax, Math.max(least, this.pace.perSecond * aheadSeconds));
  }

  private place(courier: Courier, ownerId: string, messageBytes: number): DirectPlace {
    const ahead = this.hold(ownerId, messageBytes);
    const standing = { line: Bun.hash.xxHash32(ownerId), isBehind: ahead >= behindMin };
    const giveBack = () => this.giveBack(ownerId, messageBytes);
    const run = (work: () => Promise<void>) => {
      this.running += 1;
      void work().finally(() => {
        this.running -= 1;
        this.pace.count();
        giveBack();
        this.pump();
      });
    };
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

  private hold(ownerId: string, messageBytes: number): number {
    const ahead = this.owners.get(ownerId) ?? 0;
    this.owners.set(ownerId, ahead + 1);
    this.held += 1;
    this.heldBytes += messageBytes;
    return ahead;
  }

  private giveBack(ownerId: string, messageBytes: number): void {
    const left = (this.owners.get(ownerId) ?? 1) - 1;
    if (left === 0) this.owners.delete(ownerId);
    else this.owners.set(ownerId, left);
    this.held -= 1;
    this.heldBytes -= messageBytes;
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
  /** Of the busiest second of the last minute: a pause does not make a worker slower. */
  readonly perSecond: number;
  count(): void;
}

const rememberedSeconds = 60;

function createPace(now: () => number): Pace {
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
