import { createTurns } from "../mail/turns.ts";
import type { Claim, ClaimedEmail } from "../store/attempts.ts";
import type { OpenedEmail } from "./encrypt-email.ts";
import type { Standing } from "./headroom.ts";
import type { Holdings } from "./holdings.ts";

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
  /** It was not, or nobody knows whether it was: then the self-audit finds it. */
  forgo(): void;
}

/** An email that has its turn. */
export interface HeldEmail {
  email: ClaimedEmail;
  /** null: it was claimed before its time, and is not decrypted yet. */
  opened: OpenedEmail | null;
  standing: Standing;
  /** Milliseconds since it was claimed. */
  heldMs(): number;
  /** It is to be given back: the next claim judges how late it is, and others may help. */
  isPast(): boolean;
}

/** What the worker does with an email that has its turn. Nothing of it rejects. */
export interface Courier {
  /** True: it was attempted. */
  deliver(held: HeldEmail): Promise<boolean>;
  /** Those of the emails held ahead that are not ours any more. Does not reject. */
  findLost(held: Claim[]): Promise<ReadonlySet<string>>;
}

export interface DirectDeliveryOptions {
  /** Emails that are delivered at the same time. */
  runningMax: number;
  /** Those of them that are behind a flood; the rest is for what is not. */
  behindMax: number;
  /** False: all go by the queue, as when the transport is down or has a limit to keep. */
  isFit: () => boolean;
  /** Where every claim that waits here, or is being delivered, is held. */
  holdings: Pick<Holdings, "hold">;
  /** A steady clock in ms; a test gives its own. */
  now?: () => number;
}

/**
 * More than the worker delivers in this time is not held: the queue is there for others to help,
 * and what is held by a process that dies waits until it is known to be dead.
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
/** Of their ciphertext, and what else is held of them. */
const aheadBytesMax = 32 * 1024 * 1024;
const bytesBeside = 1_000;
/**
 * So long before their time it is asked which of them are still ours: of a flood that was cancelled
 * each would cost the next hop a conversation, and us the connection.
 */
const lookBeforeMs = 250;
/** Who has no turn so long after its time is given back: it takes twice what it should. */
const pastDueMsMax = 10_000;

/** What becomes due at one time. */
interface Alarm {
  ring: Timer;
  look: Timer;
  held: Held[];
}

/** Thousands of them wait: an object each, and no closures. */
class Held implements HeldEmail {
  isLost = false;
  readonly email: ClaimedEmail;
  readonly opened: OpenedEmail | null;
  readonly standing: Standing;
  readonly bytes: number;
  /** It is nobody's from here on, unless its outcome is still being written. */
  readonly drop: () => void;
  private readonly heldAt: number;

  constructor(
    { email, opened, standing, bytes }: Pick<Held, "email" | "opened" | "standing" | "bytes">,
    holdings: Pick<Holdings, "hold">,
    private readonly now: () => number,
  ) {
    this.email = email;
    this.opened = opened;
    this.standing = standing;
    this.bytes = bytes;
    this.drop = holdings.hold(email);
    this.heldAt = now();
  }

  heldMs(): number {
    return this.now() - this.heldAt;
  }

  isPast(): boolean {
    const { dueInMs, expiresInMs } = this.email;
    return this.heldMs() > Math.min(dueInMs + pastDueMsMax, expiresInMs ?? Infinity);
  }
}

/** What is held of one kind. */
interface Total {
  count: number;
  bytes: number;
}

export function createDirectDelivery(options: DirectDeliveryOptions): DirectDelivery {
  return new DirectLine(options);
}

class DirectLine implements DirectDelivery {
  private courier: Courier | null = null;
  private isClosed = false;
  /** Those that are behind a flood and those that are not have their turns turn about. */
  private readonly lines = { prompt: createTurns<Held>(), behind: createTurns<Held>() };
  private last: Kind = "behind";
  /** Emails of each owner that were due as they were accepted. */
  private readonly owners = new Map<string, number>();
  private readonly atOnce: Total = { count: 0, bytes: 0 };
  private readonly ahead: Total = { count: 0, bytes: 0 };
  /** Those that wait for their time, by that time; of one time, one timer. */
  private readonly alarms = new Map<number, Alarm>();
  private readonly running = { prompt: 0, behind: 0 };
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
    return this.isFit ? this.place(ownerId, messageBytes) : null;
  }

  get hasRoomAhead(): boolean {
    const { count, bytes } = this.ahead;
    const room = Math.max(this.leastRoom, this.bestPace.perSecond * aheadDeliveredSeconds);
    const hasRoom = count < Math.min(aheadMax, room) && bytes < aheadBytesMax;
    return this.courier !== null && hasRoom && this.isFit;
  }

  holdUntilDue(email: ClaimedEmail): void {
    if (!this.courier) throw new Error("held before there was a worker");
    const standing = { line: lineOf(email.ownerId), isBehind: true };
    const held = this.hold({ email, opened: null, standing, bytes: bytesOf(email) });
    this.ahead.count += 1;
    this.ahead.bytes += held.bytes;
    this.atTime(Math.ceil(this.now() + email.dueInMs), held);
    if (this.isClosed) this.close();
  }

  private atTime(at: number, one: Held): void {
    const alarm = this.alarms.get(at);
    if (alarm) {
      alarm.held.push(one);
      return;
    }
    const ring = () => {
      this.ring(at);
      this.pump();
    };
    const leftMs = at - this.now();
    const held = [one];
    this.alarms.set(at, {
      held,
      ring: setTimeout(ring, leftMs),
      look: setTimeout(() => void this.markLost(held), Math.max(0, leftMs - lookBeforeMs)),
    });
  }

  private ring(at: number): void {
    const alarm = this.alarms.get(at);
    if (!alarm) return;
    clearTimeout(alarm.ring);
    clearTimeout(alarm.look);
    this.alarms.delete(at);
    // What its owner sends at once does not stand behind what was held for this moment.
    for (const one of alarm.held) this.lines.behind.add(`ahead:${one.email.ownerId}`, one);
  }

  /** An answer that comes late still helps who has not begun. */
  private async markLost(held: Held[]): Promise<void> {
    const lost = await this.courier?.findLost(held.map(({ email }) => email));
    for (const one of held) one.isLost = lost?.has(one.email.id) ?? false;
  }

  private room(): number {
    return Math.min(heldMax, Math.max(this.leastRoom, this.pace.perSecond * aheadSeconds));
  }

  private get leastRoom(): number {
    return this.options.runningMax * heldPerRunning;
  }

  private place(ownerId: string, messageBytes: number): DirectPlace {
    const before = this.owners.get(ownerId) ?? 0;
    this.owners.set(ownerId, before + 1);
    this.atOnce.count += 1;
    this.atOnce.bytes += messageBytes;
    const standing = { line: lineOf(ownerId), isBehind: before >= behindMin };
    const kind = kindOf(standing);
    return {
      deliver: (email, opened) => {
        const held = this.hold({ email, opened, standing, bytes: messageBytes });
        this.lines[kind].add(ownerId, held);
        // A turn later: whoever is told that it was accepted is told first.
        setImmediate(() => this.pump());
      },
      forgo: () => this.giveBack(ownerId, messageBytes),
    };
  }

  private giveBack(ownerId: string, messageBytes: number): void {
    const left = (this.owners.get(ownerId) ?? 1) - 1;
    if (left === 0) this.owners.delete(ownerId);
    else this.owners.set(ownerId, left);
    this.atOnce.count -= 1;
    this.atOnce.bytes -= messageBytes;
  }

  private hold(fields: Pick<Held, "email" | "opened" | "standing" | "bytes">): Held {
    return new Held(fields, this.options.holdings, this.now);
  }

  private giveBackHeld({ email, opened, bytes, drop }: Held): void {
    drop();
    if (opened) {
      this.giveBack(email.ownerId, bytes);
      return;
    }
    this.ahead.count -= 1;
    this.ahead.bytes -= bytes;
  }

  private begin(courier: Courier, held: Held): void {
    if (held.isLost) this.giveBackHeld(held);
    else
      this.run(kindOf(held.standing), this.attempt(courier, held), () => this.giveBackHeld(held));
  }

  private async attempt(courier: Courier, held: Held): Promise<boolean> {
    const isAttempted = await courier.deliver(held);
    // We held more than we can send now, whatever we could once.
    if (!isAttempted && !held.opened && this.isFit && held.isPast()) this.bestPace.forget();
    return isAttempted;
  }

  private run(kind: Kind, work: Promise<boolean>, giveBack: () => void): void {
    this.running[kind] += 1;
    void work.then((isAttempted) => {
      this.running[kind] -= 1;
      if (isAttempted) this.countDelivered();
      giveBack();
      this.pump();
    });
  }

  private pump(): void {
    const { courier } = this;
    if (!courier) return;
    for (let held = this.next(); held; held = this.next()) this.begin(courier, held);
  }

  private next(): Held | undefined {
    for (const kind of this.last === "prompt" ? kinds.behindFirst : kinds.promptFirst) {
      const held = this.hasPlace(kind) ? this.lines[kind].next() : undefined;
      if (!held) continue;
      this.last = kind;
      return held;
    }
    return undefined;
  }

  private hasPlace(kind: Kind): boolean {
    if (this.isClosed) return true;
    const { prompt, behind } = this.running;
    if (prompt + behind >= this.options.runningMax) return false;
    return kind === "prompt" || behind < this.options.behindMax;
  }
}

type Kind = "prompt" | "behind";
const kinds = { promptFirst: ["prompt", "behind"], behindFirst: ["behind", "prompt"] } as const;

function kindOf({ isBehind }: Standing): Kind {
  return isBehind ? "behind" : "prompt";
}

function lineOf(ownerId: string): number {
  return Bun.hash.xxHash32(ownerId);
}

function bytesOf({ message, recipients }: ClaimedEmail): number {
  const addresses = recipients.reduce((sum, { address }) => sum + address.length, 0);
  return (message?.length ?? 0) + addresses + bytesBeside;
}

interface Pace {
  /** Of the busiest second that is remembered: a pause does not make a worker slower. */
  readonly perSecond: number;
  count(): void;
  /** Begins anew. */
  forget(): void;
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
    forget() {
      counted = { second: Math.floor(now() / 1_000), count: 0 };
      busiest = counted;
    },
  };
}
