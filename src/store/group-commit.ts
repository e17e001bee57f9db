import { isAppError } from "../errors.ts";

export interface GroupCommitOptions<I, O> {
  /** One call for many; answers one result per item, in their order. */
  send: (items: I[]) => Promise<O[]>;
  /** Bytes of an item on the wire, roughly; default 1000. */
  sizeOf?: (item: I) => number;
  /** How long a call waits for company while another flight is under way. Default 2 ms. */
  delayMs?: number;
  itemsMax?: number;
  bytesMax?: number;
  /** An item of this size travels alone, so that nobody waits for its transfer. */
  aloneBytes?: number;
  /** Calls under way at once. Default 2: one commits while the next one fills. */
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
 * row and for two hundred. A lone call leaves with the next turn of the event loop; company is
 * waited for only while a flight is under way, so low load pays nothing.
 *
 * A batch that fails is sent again item by item, so that one bad item fails alone; `send` must
 * therefore be idempotent per item. When the database is gone everybody is told at once.
 */
export function createGroupCommit<I, O>(options: GroupCommitOptions<I, O>): GroupCommit<I, O> {
  const { send, sizeOf = () => 1_000, delayMs = 2, flightsMax = 2 } = options;
  const limits = {
    itemsMax: options.itemsMax ?? 200,
    bytesMax: options.bytesMax ?? 2_000_000,
    aloneBytes: options.aloneBytes ?? 1_000_000,
  };
  const waiting: Passenger<I, O>[] = [];
  const idlers: (() => void)[] = [];
  let flights = 0;
  let waitingBytes = 0;
  let departure: { isSoon: boolean; cancel: () => void } | null = null;

  function schedule(): void {
    if (waiting.length === 0 || flights >= flightsMax) return;
    const isFull = waiting.length >= limits.itemsMax || waitingBytes >= limits.bytesMax;
    const isSoon = flights === 0 || isFull;
    if (departure !== null && (departure.isSoon || !isSoon)) return;
    departure?.cancel();
    departure = { isSoon, cancel: later(depart, isSoon ? 0 : delayMs) };
  }

  function board(): Passenger<I, O>[] {
    const batch = waiting.splice(0, countOf(waiting, limits));
    waitingBytes -= batch.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    return batch;
  }

  function depart(): void {
    departure = null;
    while (flights < flightsMax && waiting.length > 0) {
      flights += 1;
      void fly(board()).finally(land);
    }
  }

  function land(): void {
    flights -= 1;
    // Whoever waited behind the flight has waited long enough.
    departure?.cancel();
    depart();
    if (flights > 0 || waiting.length > 0) return;
    for (const wake of idlers.splice(0)) wake();
  }

  async function fly(batch: Passenger<I, O>[]): Promise<void> {
    try {
      await deliver(send, batch);
    } catch (error) {
      if (batch.length === 1 || isAppError(error, "database_unavailable")) rejectAll(batch, error);
      else await flyOneByOne(send, batch);
    }
  }

  return {
    add(item) {
      const { promise, resolve, reject } = Promise.withResolvers<O>();
      const sizeBytes = sizeOf(item);
      waiting.push({ item, sizeBytes, resolve, reject });
      waitingBytes += sizeBytes;
      schedule();
      return promise;
    },
    idle() {
      if (flights === 0 && waiting.length === 0) return Promise.resolve();
      return new Promise((resolve) => idlers.push(resolve));
    },
  };
}

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

async function deliver<I, O>(
  send: (items: I[]) => Promise<O[]>,
  batch: Passenger<I, O>[],
): Promise<void> {
  const results = await send(batch.map(({ item }) => item));
  if (results.length !== batch.length) {
    throw new Error(`${results.length} results came for ${batch.length} items`);
  }
  for (const [index, result] of results.entries()) batch[index]?.resolve(result);
}

async function flyOneByOne<I, O>(
  send: (items: I[]) => Promise<O[]>,
  batch: Passenger<I, O>[],
): Promise<void> {
  for (const [index, passenger] of batch.entries()) {
    try {
      await deliver(send, [passenger]);
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
