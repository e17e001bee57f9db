import { isAppError } from "../errors.ts";
import { spendCallBudget, withoutCallBudget } from "./call-budget.ts";
import { isContended, isUnanswered } from "./call-error.ts";
import { type AloneCall, type Contended, ContendedItems, contended } from "./contended-items.ts";
import { Waiting, type WaitingItem } from "./waiting-items.ts";

export interface GroupCommitOptions<I, O> {
  /**
   * One call for many; answers one result per item, in their order, or `contended` for an item
   * whose row another transaction holds. Waits for locks no longer than `lockTimeoutMs`.
   */
  send: (items: I[], call: BatchCall) => Promise<(O | Contended)[]>;
  /** Bytes of an item on the wire, roughly; default 1000. */
  sizeOf?: (item: I) => number;
  /** Names what an item locks; an item that met a lock goes by itself the next time as well. */
  keyOf?: (item: I) => string;
  /**
   * How long a call may hold up those who wait behind it. Default 20 ms: most are back by then,
   * and the later the next one leaves the more travel in it; one that is stuck stops nobody.
   */
  patienceMs?: number;
  /**
   * How long those who waited behind a call wait for more company after it, for calls whose
   * callers have time while others are busy. Default 0.
   */
  gatherMs?: number;
  itemsMax?: number;
  bytesMax?: number;
  /** An item of this size travels alone, so that nobody waits for its transfer. */
  aloneBytes?: number;
  /** Calls under way at once. Default 2. */
  callsMax?: number;
  /** A batch waits this long for a lock at most: everybody in it waits as well. Default 500. */
  lockTimeoutMs?: number;
  /**
   * Within so many ms of `add`, and 1 s more for each megabyte, an item has its result or is
   * refused with `database_unavailable`. Default 4200: HTTP answers within 5 s.
   */
  deadlineMs?: number;
}

/** How patient a call may be. */
export interface BatchCall {
  /** Nobody else is in it: it may wait for its lock, where a batch leaves locked rows out. */
  isAlone: boolean;
  lockTimeoutMs: number;
}

export interface GroupCommit<I, O> {
  /** Resolves with this item's own result, or rejects with what `send` threw for it. */
  add(item: I): Promise<O>;
  /** Resolves once nothing waits and nothing is under way. */
  idle(): Promise<void>;
}

/**
 * Calls that arrive together travel in one `send`: a commit costs the disk the same for one
 * row and for two hundred, and a call of one email costs PostgreSQL six times what each of twenty
 * does. A lone call leaves with the next turn of the event loop; company is waited for only while
 * a call is under way, so low load pays nothing.
 *
 * A batch that fails is sent again item by item, so that one bad item fails alone; `send` must
 * therefore be idempotent per item. An item that meets another transaction's lock is tried apart
 * from the batches. When the database is gone everybody in the batch is told at once; when it did
 * not answer by its deadline, everybody who waits is told as well.
 */
export function createGroupCommit<I, O>(options: GroupCommitOptions<I, O>): GroupCommit<I, O> {
  return new Batches(options);
}

class Batches<I, O> implements GroupCommit<I, O> {
  private readonly options: Required<GroupCommitOptions<I, O>>;
  private readonly waiting: Waiting<I, O>;
  private readonly contended: ContendedItems<I, O>;
  private calls = 0;
  private departure: { isSoon: boolean; cancel: () => void } | null = null;
  private readonly idlers: (() => void)[] = [];

  constructor(options: GroupCommitOptions<I, O>) {
    this.options = { ...defaults, ...options };
    this.waiting = new Waiting(this.options);
    const sendAlone: AloneCall<I, O> = async (item, lockTimeoutMs) =>
      onlyResult(await this.options.send([item], { isAlone: true, lockTimeoutMs }));
    this.contended = new ContendedItems(sendAlone, this.options.keyOf, () => this.wakeIdlers());
  }

  add(item: I): Promise<O> {
    const { promise, resolve, reject } = Promise.withResolvers<O>();
    const one = this.waiting.admit(item, resolve, reject);
    // The call is everybody's in it: what its first request may wait concerns nobody else.
    withoutCallBudget(() => {
      if (this.contended.isKnown(item)) {
        this.contended.add(one);
      } else {
        this.waiting.push(one);
        this.schedule();
      }
    });
    return spendCallBudget(() => promise);
  }

  idle(): Promise<void> {
    if (this.isIdle()) return Promise.resolve();
    return new Promise((resolve) => this.idlers.push(resolve));
  }

  private isIdle(): boolean {
    return this.calls === 0 && this.waiting.count === 0 && this.contended.count === 0;
  }

  private wakeIdlers(): void {
    if (this.isIdle()) for (const wake of this.idlers.splice(0)) wake();
  }

  private schedule(): void {
    if (this.waiting.count === 0 || this.calls >= this.options.callsMax) return;
    // Without a call under way, a departure that was set is one that gathers.
    const isSoon = this.waiting.isFull || (this.calls === 0 && this.departure === null);
    if (this.departure !== null && (this.departure.isSoon || !isSoon)) return;
    this.leave(isSoon, isSoon ? 0 : this.options.patienceMs);
  }

  private leave(isSoon: boolean, inMs: number): void {
    this.departure?.cancel();
    this.departure = { isSoon, cancel: later(() => this.depart(), inMs) };
  }

  private depart(): void {
    this.departure?.cancel();
    this.departure = null;
    while (this.calls < this.options.callsMax && this.waiting.count > 0) {
      this.calls += 1;
      void this.call(this.waiting.takeBatch());
    }
  }

  private async call(batch: WaitingItem<I, O>[]): Promise<void> {
    let tell = (): void => {};
    try {
      tell = await this.deliver(batch);
    } catch (error) {
      this.tellWaiting(batch, error);
      if (batch.length === 1 || isGone(error)) tell = () => this.refuse(batch, error);
      else await this.sendOneByOne(batch);
    }
    this.land();
    // Only now, so that what they call next finds no call that is over.
    tell();
  }

  /** Resolves to what tells everybody their result. */
  private async deliver(batch: WaitingItem<I, O>[]): Promise<() => void> {
    const items = batch.map(({ item }) => item);
    const call = { isAlone: false, lockTimeoutMs: this.options.lockTimeoutMs };
    const results = await this.options.send(items, call);
    if (results.length !== batch.length) {
      throw new Error(`${results.length} results came for ${batch.length} items`);
    }
    return () => {
      for (const [index, one] of batch.entries()) {
        const result = results[index] as O | Contended;
        if (result === contended) this.contended.add(one);
        else one.resolve(result);
      }
    };
  }

  private async sendOneByOne(batch: WaitingItem<I, O>[]): Promise<void> {
    for (const [index, one] of batch.entries()) {
      if (one.isSettled) continue;
      try {
        const tell = await this.deliver([one]);
        tell();
      } catch (error) {
        if (isGone(error)) {
          this.tellWaiting([one], error);
          this.refuse(batch.slice(index), error);
          return;
        }
        this.refuse([one], error);
      }
    }
  }

  private refuse(batch: WaitingItem<I, O>[], error: unknown): void {
    for (const one of batch) {
      if (isContended(error)) this.contended.add(one);
      else one.reject(error);
    }
  }

  /** Behind a call that was not answered nobody waits on; one of megabytes may fail for its size. */
  private tellWaiting(batch: WaitingItem<I, O>[], error: unknown): void {
    if (isUnanswered(error) && !batch.some(({ isLarge }) => isLarge)) this.waiting.rejectAll(error);
  }

  private land(): void {
    this.calls -= 1;
    const { gatherMs } = this.options;
    // Items that waited behind the call have waited long enough, or have time.
    if (gatherMs === 0 || this.waiting.count === 0 || this.waiting.isFull) this.depart();
    else this.leave(false, gatherMs);
    this.wakeIdlers();
  }
}

const defaults = {
  sizeOf: () => 1_000,
  keyOf: () => "",
  patienceMs: 20,
  gatherMs: 0,
  itemsMax: 200,
  bytesMax: 2_000_000,
  aloneBytes: 1_000_000,
  callsMax: 2,
  lockTimeoutMs: 500,
  deadlineMs: 4_200,
};

/** The database answers nobody at the moment; to send the items one by one would not help. */
function isGone(error: unknown): boolean {
  return isAppError(error, "database_unavailable") && !isContended(error);
}

function onlyResult<O>(results: O[]): O {
  const [result] = results;
  if (results.length !== 1) throw new Error(`${results.length} results came for 1 item`);
  return result as O;
}

/** The next turn of the event loop for 0: a timer of zero would wait a millisecond. */
function later(run: () => void, delayMs: number): () => void {
  if (delayMs === 0) {
    const immediate = setImmediate(run);
    return () => clearImmediate(immediate);
  }
  const timer = setTimeout(run, delayMs);
  return () => clearTimeout(timer);
}
