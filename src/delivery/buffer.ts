import type { OpenedEmail } from "../content/encrypt-email.ts";
import { createTurns } from "../runtime/turns.ts";
import type { Claim, ClaimedEmail } from "../store/attempts.ts";
import { type Buffered, Entry, type Granted } from "./buffer-entry.ts";
import type { ClaimsInMemory } from "./claims-in-memory.ts";
import { createPace, type Pace } from "./pace.ts";
import { createRevokedLook, type RevokedLook } from "./revoked-look.ts";

/**
 * Holds what this process has claimed until its moment, then hands it out in turns between owners.
 * Bounded in count and bytes; one owner can never fill it, so that others' mail always finds room.
 */
export interface Buffer {
  /** What may be claimed into it now. */
  readonly room: BufferRoom;
  /** Emails in it, and those handed out and not yet finished. */
  readonly count: number;
  /** Suspects among them: a group is in hand while this is above 0. */
  readonly suspects: number;
  /** One is in hand that is blamed for a single death. */
  readonly hasOneBlamed: boolean;
  /** Ids of those that may be handed out before the next beat; a death then may be their fault. */
  readonly upcoming: readonly string[];
  /** Keeps room for an email that the accepting transaction may claim; null: there is none. */
  reserve(email: { ownerId: string; messageBytes: number }): Reservation | null;
  /** Takes an email that `claim_due` granted; it is handed out `dueInMs` from now. */
  take(email: Granted): void;
  /**
   * The next email whose moment has come and is not past; undefined: none, or only of floods that
   * have their part.
   */
  next(): Buffered | undefined;
  /** Puts an email back that found no permit; it is the first of its owner again. */
  putBack(email: Buffered): void;
  /** Ends what `next` handed out; `isAttempted` counts for the pace, which bounds the room. */
  finish(email: Buffered, isAttempted: boolean): void;
  /**
   * The claims of these emails that are here now. Told which of them were revoked, by default all, it
   * takes those out that have not begun, and answers how many; a claim made since stays.
   */
  revoking(ids: readonly string[]): (revoked?: readonly string[]) => number;
  /** Takes out what has waited too long past its time, for other workers, in order. */
  takePast(): Claim[];
  /** Takes out what must not be sent now: everything of the region, or of these owners. */
  takePaused(paused: { isAll: boolean; owners: readonly string[] }): Claim[];
  /** Takes out everything that was not handed out, and takes in nothing more. */
  drain(): Claim[];
}

export interface BufferRoom {
  /** Emails that fit; 0 once drained. */
  free: number;
  /** Emails that one owner may hold here. */
  perOwner: number;
  /** Of owners that hold many: how many. */
  holds: Record<string, number>;
}

/** Room for one email while it is being accepted; used up by one of its methods. */
export interface Reservation {
  /** It was claimed by the accepting transaction. */
  deliver(email: ClaimedEmail, opened: OpenedEmail): void;
  /** It was not, or nobody knows. */
  forgo(): void;
}

export interface BufferOptions {
  /** Emails handed out at the same time. */
  begunMax: number;
  /** Told of every claim from the moment it is here until it is finished or taken out. */
  claimsInMemory: Pick<ClaimsInMemory, "keep">;
  /** Called when emails are ready to be handed out. */
  onReady: () => void;
  /** Called when room for a batch has become free. */
  onRoom: () => void;
  /** Called with a claim that was answered after the drain: nobody here sends it. */
  onLate: (claim: Claim) => void;
  /** Of many emails about to be due: the ids whose claims no longer stand. Does not reject. */
  findRevoked: (claims: Claim[]) => Promise<readonly string[]>;
  /** A steady clock in ms; a test gives its own. */
  now?: () => number;
}

/** An owner holds at most what the best pace of the day sends in so many seconds, and this many. */
const ownerSeconds = 5;
const ownerMax = 5_000;
/** Held at least for each email handed out at the same time: nothing is known at the start. */
const heldPerBegun = 8;
/** Of all room, what no single owner can fill. */
const othersShare = 0.2;
/** Of the emails handed out at the same time, what owners of many leave to the others. */
const manyShare = 0.8;
/** With more than this many here an owner is one of many emails. */
const manyMin = 20;
/** Of ciphertext and cleartext together. */
const bytesMax = 48 * 1024 * 1024;
/** Bytes that an email takes beside its message and addresses, about. */
const bytesBeside = 1_000;
/** Larger messages are not kept: the attempt reads them when it begins. */
const messageBytesMax = 64 * 1024;
/** Room of this many emails is worth a claim, and no less than a quarter of all room. */
const roomStepMax = 100;
/** A beat comes every second, and somewhat later on a busy machine. */
const upcomingSeconds = 2;

export function createBuffer(options: BufferOptions): Buffer {
  return new ClaimBuffer(options);
}

/** All emails that are due within one millisecond share one timer. */
interface Moment {
  ring: Timer;
  look: Timer | null;
  entries: Entry[];
}

class ClaimBuffer implements Buffer {
  private readonly entries = new Map<string, Entry>();
  private readonly owners = new Map<string, number>();
  private readonly moments = new Map<number, Moment>();
  private readonly ready = { few: createTurns<Entry>(), many: createTurns<Entry>() };
  private readonly begun = new Set<Entry>();
  private begunMany = 0;
  private reserved = 0;
  private bytes = 0;
  private freed = 0;
  private suspectCount = 0;
  private blamedCount = 0;
  private isDrained = false;
  private readonly pace: Pace;
  private readonly revokedLook: RevokedLook;
  private readonly now: () => number;

  constructor(private readonly options: BufferOptions) {
    this.now = options.now ?? performance.now.bind(performance);
    this.pace = createPace(this.now);
    this.revokedLook = createRevokedLook({ findRevoked: options.findRevoked, now: this.now });
  }

  get count(): number {
    return this.entries.size;
  }

  get suspects(): number {
    return this.suspectCount;
  }

  get hasOneBlamed(): boolean {
    return this.blamedCount > 0;
  }

  get room(): BufferRoom {
    const holds: Record<string, number> = {};
    // Of owners with few there may be thousands, and their part is far from used up.
    for (const [owner, count] of this.owners) if (count > manyMin) holds[owner] = count;
    return { free: this.free, perOwner: this.perOwner, holds };
  }

  get upcoming(): readonly string[] {
    const count = Math.max(manyMin, this.pace.recent * upcomingSeconds);
    return [this.ready.few, this.ready.many].flatMap((turns) =>
      turns.peek(count).flatMap(({ isGone, email }) => (isGone ? [] : [email.id])),
    );
  }

  private get free(): number {
    if (this.isDrained || this.bytes >= bytesMax) return 0;
    return Math.max(
      0,
      Math.floor(this.perOwner * (1 + othersShare)) - this.entries.size - this.reserved,
    );
  }

  private get perOwner(): number {
    const least = this.options.begunMax * heldPerBegun;
    return Math.min(ownerMax, Math.max(least, this.pace.best * ownerSeconds));
  }

  reserve({ ownerId, messageBytes }: { ownerId: string; messageBytes: number }) {
    const isFull =
      this.free === 0 ||
      (this.owners.get(ownerId) ?? 0) >= this.perOwner ||
      messageBytes > messageBytesMax ||
      this.bytes + messageBytes > bytesMax;
    if (isFull) return null;
    this.tally(ownerId, 1);
    this.reserved += 1;
    this.bytes += messageBytes;
    const giveUp = () => {
      this.tally(ownerId, -1);
      this.reserved -= 1;
      this.bytes -= messageBytes;
    };
    return {
      deliver: (email: ClaimedEmail, opened: OpenedEmail) => {
        giveUp();
        this.add(email, { opened, bytes: messageBytes });
      },
      forgo: giveUp,
    };
  }

  take(email: Granted): void {
    this.add(email, { opened: null, bytes: bytesOf(email) });
  }

  next(): Entry | undefined {
    if (this.begun.size >= this.options.begunMax) return undefined;
    const isManyFull = this.begunMany >= Math.max(1, this.options.begunMax * manyShare);
    const turn = () => this.ready.few.next() ?? (isManyFull ? undefined : this.ready.many.next());
    let entry = turn();
    // `takePast` returns an email that is past its time: its fence would refuse it.
    while (entry && (entry.isGone || entry.isPast())) entry = turn();
    if (!entry) return undefined;
    this.begun.add(entry);
    if (entry.isMany) this.begunMany += 1;
    return entry;
  }

  putBack(email: Buffered): void {
    const entry = email as Entry;
    if (this.begun.delete(entry) && entry.isMany) this.begunMany -= 1;
    this.ready[entry.isMany ? "many" : "few"].addFirst(entry.email.ownerId, entry);
  }

  finish(email: Buffered, isAttempted: boolean): void {
    const entry = email as Entry;
    if (!this.begun.delete(entry)) return;
    if (entry.isMany) this.begunMany -= 1;
    if (isAttempted) this.pace.count();
    this.remove(entry);
  }

  revoking(ids: readonly string[]): (revoked?: readonly string[]) => number {
    const here = new Map(
      ids.flatMap((id) => {
        const entry = this.entries.get(id);
        return entry ? [[id, entry] as const] : [];
      }),
    );
    return (revoked = ids) => {
      const out = revoked.flatMap((id) => here.get(id) ?? []);
      // The fence refuses an email that has begun.
      const waiting = out.filter((entry) => !entry.isGone && !this.begun.has(entry));
      for (const entry of waiting) this.remove(entry);
      return waiting.length;
    };
  }

  takePast(): Claim[] {
    const past = this.takeOut((entry) => entry.isPast());
    // It held more than could be sent, whatever could once.
    if (past.length > 0) this.pace.forget();
    return past;
  }

  takePaused({ isAll, owners }: { isAll: boolean; owners: readonly string[] }): Claim[] {
    if (!isAll && owners.length === 0) return [];
    const paused = new Set(owners);
    return this.takeOut(({ email }) => isAll || paused.has(email.ownerId));
  }

  drain(): Claim[] {
    this.isDrained = true;
    for (const moment of this.moments.values()) stop(moment);
    this.moments.clear();
    return this.takeOut(() => true);
  }

  /** An email that has begun stays: its fence decides. */
  private takeOut(isOut: (entry: Entry) => boolean): Claim[] {
    const out = [...this.entries.values()].filter(
      (entry) => !this.begun.has(entry) && isOut(entry),
    );
    for (const entry of out) this.remove(entry);
    return out.map(({ email: { id, token } }) => ({ id, token }));
  }

  private add(email: Granted, { opened, bytes }: Pick<Entry, "opened" | "bytes">): void {
    if (this.isDrained) {
      this.options.onLate({ id: email.id, token: email.token });
      return;
    }
    const former = this.entries.get(email.id);
    // A newer claim ended its own; what has begun is refused by its fence.
    if (former && !this.begun.has(former)) this.remove(former);
    const drop = this.options.claimsInMemory.keep(email);
    const entry = new Entry(email, opened, bytes, drop, this.now);
    this.entries.set(entry.email.id, entry);
    this.tally(entry.email.ownerId, 1);
    this.bytes += entry.bytes;
    if (email.isOneBlamed) this.blamedCount += 1;
    else if (email.isSuspect) this.suspectCount += 1;
    if (entry.email.dueInMs > 0) this.wait(entry);
    else {
      this.makeReady(entry);
      // A turn later, so that whoever is told that it was accepted is told first.
      setImmediate(this.options.onReady);
    }
  }

  private makeReady(entry: Entry): void {
    if (entry.isGone) return;
    const { ownerId } = entry.email;
    entry.isMany = (this.owners.get(ownerId) ?? 0) > manyMin;
    this.ready[entry.isMany ? "many" : "few"].add(ownerId, entry);
  }

  private remove(entry: Entry): void {
    if (entry.isGone) return;
    entry.isGone = true;
    entry.drop();
    // Another claim of the same email may be here under a newer token.
    if (this.entries.get(entry.email.id) === entry) this.entries.delete(entry.email.id);
    this.tally(entry.email.ownerId, -1);
    this.bytes -= entry.bytes;
    const { isSuspect, isOneBlamed } = entry.email;
    if (isOneBlamed) this.blamedCount -= 1;
    else if (isSuspect) this.suspectCount -= 1;
    this.freed += 1;
    // The next one, or group, can be claimed.
    if (isSuspect && (isOneBlamed || this.suspectCount === 0)) this.options.onRoom();
    const step = Math.min(roomStepMax, this.perOwner / 4);
    if (this.freed < step && this.entries.size > 0) return;
    this.freed = 0;
    this.options.onRoom();
  }

  private tally(ownerId: string, change: 1 | -1): void {
    const count = (this.owners.get(ownerId) ?? 0) + change;
    if (count === 0) this.owners.delete(ownerId);
    else this.owners.set(ownerId, count);
  }

  private wait(entry: Entry): void {
    const at = Math.ceil(this.now() + entry.email.dueInMs);
    const moment = this.moments.get(at);
    if (moment) {
      moment.entries.push(entry);
      return;
    }
    const leftMs = at - this.now();
    const entries = [entry];
    const { leadMs } = this.revokedLook;
    const look = leftMs < leadMs ? null : leftMs - leadMs;
    this.moments.set(at, {
      entries,
      ring: setTimeout(() => this.ring(at), leftMs),
      look: look === null ? null : setTimeout(() => void this.look(entries), look),
    });
  }

  private ring(at: number): void {
    const moment = this.moments.get(at);
    if (!moment) return;
    stop(moment);
    this.moments.delete(at);
    for (const entry of moment.entries) this.makeReady(entry);
    this.options.onReady();
  }

  private async look(entries: Entry[]): Promise<void> {
    const here = entries.filter(({ isGone }) => !isGone);
    const revoked = await this.revokedLook.find(
      here.map(({ email: { id, token } }) => ({ id, token })),
    );
    for (const entry of here) {
      // An answer that comes late still helps what has not begun.
      if (revoked.has(entry.email.id) && !this.begun.has(entry)) this.remove(entry);
    }
  }
}

function stop({ ring, look }: Moment): void {
  clearTimeout(ring);
  if (look) clearTimeout(look);
}

function bytesOf({ message, recipients }: ClaimedEmail): number {
  const addresses = recipients.reduce((sum, { address }) => sum + address.length, 0);
  return (message?.length ?? 0) + addresses + bytesBeside;
}
