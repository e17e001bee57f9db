import { isAppError } from "../errors.ts";

export interface GroupCommitOptions<Item, Result> {
  /** Sends a batch; must resolve to one result per item, in order. */
  send: (items: Item[]) => Promise<Result[]>;
  /** Bytes of an item on the wire, roughly; default 1000. */
  sizeOf?: (item: Item) => number;
  /** How long an item waits for company while another batch is under way. Default 2. */
  delayMs?: number;
  /** A batch is flushed at this many items. Default 200. */
  itemsMax?: number;
  /** … or at this many bytes. Default 2 MB. */
  bytesMax?: number;
  /** An item of this size or more travels alone. Default 1 MB. */
  aloneBytes?: number;
  /** Batches under way at once. Default 2: one is being written while the next one fills. */
  flightsMax?: number;
}

export interface GroupCommit<Item, Result> {
  /** Resolves with this item's own result, once its batch is committed. */
  add(item: Item): Promise<Result>;
  /** Resolves when nothing waits and nothing is under way. */
  idle(): Promise<void>;
}

interface Waiting<Item, Result> {
  item: Item;
  bytes: number;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
}

/**
 * Lets calls that arrive within a couple of milliseconds of each other travel in one. With
 * nothing under way an item leaves on the next tick; the busier it is, the fuller the batches.
 */
export function createGroupCommit<Item, Result>(
  options: GroupCommitOptions<Item, Result>,
): GroupCommit<Item, Result> {
  const { sizeOf = () => 1_000, delayMs = 2, flightsMax = 2 } = options;
  const limits = {
    itemsMax: options.itemsMax ?? 200,
    bytesMax: options.bytesMax ?? 2_000_000,
    aloneBytes: options.aloneBytes ?? 1_000_000,
  };
  const waiting: Waiting<Item, Result>[] = [];
  let flights = 0;
  let timer: Timer | null = null;
  let whenIdle = Promise.withResolvers<void>();

  function plan(): void {
    if (waiting.length === 0 || flights >= flightsMax) return;
    if (isFull(waiting, limits)) flush();
    else timer ??= setTimeout(flush, flights === 0 ? 0 : delayMs);
  }

  function flush(): void {
    if (timer) clearTimeout(timer);
    timer = null;
    if (waiting.length === 0 || flights >= flightsMax) return;
    flights += 1;
    void sendBatch(options.send, takeBatch(waiting, limits)).finally(() => {
      flights -= 1;
      if (flights === 0 && waiting.length === 0) whenIdle.resolve();
      plan();
    });
    plan();
  }

  return {
    add(item) {
      const { promise, resolve, reject } = Promise.withResolvers<Result>();
      if (flights === 0 && waiting.length === 0) whenIdle = Promise.withResolvers<void>();
      waiting.push({ item, bytes: sizeOf(item), resolve, reject });
      plan();
      return promise;
    },
    idle: () => (flights === 0 && waiting.length === 0 ? Promise.resolve() : whenIdle.promise),
  };
}

interface Limits {
  itemsMax: number;
  bytesMax: number;
  aloneBytes: number;
}

function isFull(waiting: { bytes: number }[], { itemsMax, bytesMax }: Limits): boolean {
  if (waiting.length >= itemsMax) return true;
  let bytes = 0;
  return waiting.some((entry) => {
    bytes += entry.bytes;
    return bytes >= bytesMax;
  });
}

/** From the front: as many as fit, or a single large one. */
function takeBatch<Item, Result>(
  waiting: Waiting<Item, Result>[],
  { itemsMax, bytesMax, aloneBytes }: Limits,
): Waiting<Item, Result>[] {
  let count = 0;
  let bytes = 0;
  for (const entry of waiting) {
    const isAlone = entry.bytes >= aloneBytes;
    if (count > 0 && (isAlone || count >= itemsMax || bytes + entry.bytes > bytesMax)) break;
    count += 1;
    bytes += entry.bytes;
    if (isAlone) break;
  }
  return waiting.splice(0, count);
}

/** Settles every item of the batch; never rejects. */
async function sendBatch<Item, Result>(
  send: (items: Item[]) => Promise<Result[]>,
  batch: Waiting<Item, Result>[],
): Promise<void> {
  try {
    const results = await send(batch.map(({ item }) => item));
    if (results.length !== batch.length) {
      throw new Error(`expected ${batch.length} results, got ${results.length}`);
    }
    for (const [index, entry] of batch.entries()) entry.resolve(results[index] as Result);
  } catch (error) {
    // One bad item must not fail its neighbours; a database that is gone fails them all.
    if (batch.length === 1 || isAppError(error, "database_unavailable")) {
      for (const entry of batch) entry.reject(error);
      return;
    }
    for (const entry of batch) await sendBatch(send, [entry]);
  }
}
