import { isAppError } from "../errors.ts";

export interface GroupCommitOptions<I, O> {
  /** One call for many; answers one result per item, in their order. */
  send: (items: I[]) => Promise<O[]>;
  /** Bytes of an item on the wire, roughly; default 1000. */
  sizeOf?: (item: I) => number;
  /**
   * How long a flight may hold up those who wait behind it. Default 20 ms: most are back by then,
   * and the later the next one leaves the more travel in it; one that is stuck stops nobody.
   */
  patienceMs?: number;
  /**
   * How long those who waited behind a flight wait for more company after it, for calls whose
   * callers have time while others are busy. Default 0.
   */
  gatherMs?: number;
  itemsMax?: number;
  bytesMax?: number;
  /** An item of this size travels alone, so that nobody waits for its transfer. */
  aloneBytes?: number;
  /** Calls under way at once. Default 2. */
  flightsMax?: number;
}

export interface GroupCommit<I, O> {
  /** Resolves with this item's own result, or rejects with what `send` threw for it. */
  add(item: I): Promise<O>;
  /** Resolves once nothing waits and nothing is under way. */
  idle(): Promise<void>;
}

interface Passenger<I, O> {
  item: I;
  sizeBytes: number;
  resolve: (result: O) => void;
  reject: (error: unknown) => void;
}

/**
 * Calls that arrive together travel in one `send`: a commit costs the disk the same for one
 * row and for two hundred, and a call of one email costs PostgreSQL six times what each of twenty
 * does. A lone call leaves with the next turn of the event loop; company is waited for only while
 * a flight is under way, so low load pays nothing.
 *
 * A batch that fails is sent again item by item, so that one bad item fails alone; `send` must
 * therefore be idempotent per item. When the database is gone everybody is told at once.
 */
export function createGroupCommit<I, O>(options: GroupCommitOptions<I, O>): GroupCommit<I, O> {
  return new Flights(options);
}

class Flights<I, O> implements GroupCommit<I, O> {
  private readonly options: Required<GroupCommitOptions<I, O>>;
  private readonly waiting: Passenger<I, O>[] = [];
  private waitingBytes = 0;
  private flights = 0;
  private departure: { isSoon: boolean; cancel: () => void } | null = null;
  private readonly idlers: (() => void)[] = [];

  constructor(options: GroupCommitOptions<I, O>) {
    this.options = { ...defaults, ...options };
  }

  add(item: I): Promise<O> {
    const { promise, resolve, reject } = Promise.withResolvers<O>();
    const sizeBytes = this.options.sizeOf(item);
    this.waiting.push({ item, sizeBytes, resolve, reject });
    this.waitingBytes += sizeBytes;
    this.schedule();
    return promise;
  }

  idle(): Promise<void> {
    if (this.flights === 0 && this.waiting.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.idlers.push(resolve));
  }

  private schedule(): void {
    if (this.waiting.length === 0 || this.flights >= this.options.flightsMax) return;
    // Without a flight under way, a departure that was set is one that gathers.
    const isSoon = this.isFull() || (this.flights === 0 && this.departure === null);
    if (this.departure !== null && (this.departure.isSoon || !isSoon)) return;
    this.leave(isSoon, isSoon ? 0 : this.options.patienceMs);
  }

  private leave(isSoon: boolean, inMs: number): void {
    this.departure?.cancel();
    this.departure = { isSoon, cancel: later(() => this.depart(), inMs) };
  }

  private isFull(): boolean {
    const { itemsMax, bytesMax } = this.options;
    return this.waiting.length >= itemsMax || this.waitingBytes >= bytesMax;
  }

  private depart(): void {
    this.departure?.cancel();
    this.departure = null;
    while (this.flights < this.options.flightsMax && this.waiting.length > 0) {
      this.flights += 1;
      void this.fly(this.board());
    }
  }

  private board(): Passenger<I, O>[] {
    const batch = this.waiting.splice(0, countOf(this.waiting, this.options));
    this.waitingBytes -= batch.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    return batch;
  }

  private async fly(batch: Passenger<I, O>[]): Promise<void> {
    const { send } = this.options;
    let tell = (): void => {};
    try {
      tell = await deliver(send, batch);
    } catch (error) {
      if (batch.length === 1 || isAppError(error, "database_unavailable")) {
        tell = () => rejectAll(batch, error);
      } else await flyOneByOne(send, batch);
    }
    this.land();
    // Only now, so that what they call next finds no flight that is over.
    tell();
  }

  private land(): void {
    this.flights -= 1;
    const { gatherMs } = this.options;
    // Whoever waited behind the flight has waited long enough, or has time.
    if (gatherMs === 0 || this.waiting.length === 0 || this.isFull()) this.depart();
    else this.leave(false, gatherMs);
    if (this.flights > 0 || this.waiting.length > 0) return;
    for (const wake of this.idlers.splice(0)) wake();
  }
}

const defaults = {
  sizeOf: () => 1_000,
  patienceMs: 20,
  gatherMs: 0,
  itemsMax: 200,
  bytesMax: 2_000_000,
  aloneBytes: 1_000_000,
  flightsMax: 2,
};

/** How many from the front fit into one batch; at least one. */
function countOf(
  waiting: readonly { sizeBytes: number }[],
  limits: { itemsMax: number; bytesMax: number; aloneBytes: number },
): number {
  let bytes = 0;
  let count = 0;
  for (const { sizeBytes } of waiting) {
    bytes += sizeBytes;
    if (count > 0 && (bytes > limits.bytesMax || sizeBytes >= limits.aloneBytes)) break;
    count += 1;
    if (count === limits.itemsMax || sizeBytes >= limits.aloneBytes) break;
  }
  return count;
}

/** Resolves to what tells everybody their result. */
async function deliver<I, O>(
  send: (items: I[]) => Promise<O[]>,
  batch: Passenger<I, O>[],
): Promise<() => void> {
  const results = await send(batch.map(({ item }) => item));
  if (results.length !== batch.length) {
    throw new Error(`${results.length} results came for ${batch.length} items`);
  }
  return () => {
    for (const [index, result] of results.entries()) batch[index]?.resolve(result);
  };
}

async function flyOneByOne<I, O>(
  send: (items: I[]) => Promise<O[]>,
  batch: Passenger<I, O>[],
): Promise<void> {
  for (const [index, passenger] of batch.entries()) {
    try {
      const tell = await deliver(send, [passenger]);
      tell();
    } catch (error) {
      if (isAppError(error, "database_unavailable")) {
        rejectAll(batch.slice(index), error);
        return;
      }
      passenger.reject(error);
    }
  }
}

function rejectAll<I, O>(batch: Passenger<I, O>[], error: unknown): void {
  for (const { reject } of batch) reject(error);
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
