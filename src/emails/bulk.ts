import type { Logger } from "../log.ts";
import type { BulkCancel, CancelFilter } from "../store/bulk-cancel.ts";
import type { BulkChange, WantedChange } from "../store/bulk-change.ts";
import type { Claims } from "../store/database.ts";
import type { DeadLetterFilter, DeadLetters, FoundDeadLetters } from "../store/dead-letters.ts";

export interface BulkDeps {
  deadLetters: DeadLetters;
  bulkCancel: BulkCancel;
  bulkChange: BulkChange;
  log: Logger;
  newId: () => string;
  /** True once the process is stopping: no further chunk is begun. */
  isDraining: () => boolean;
  /** How long a request waits for the last chunk; the rest goes on behind its answer. */
  answerWithinMs?: number;
}

export interface BulkReplay {
  filter: DeadLetterFilter;
  /** null: all at once. */
  ratePerMinute: number | null;
  /** null: now. */
  scheduledAt: Date | null;
  isDryRun: boolean;
  origin: string | null;
}

export interface BulkCancelling {
  filter: CancelFilter;
  isDryRun: boolean;
  origin: string | null;
}

export interface BulkChanging {
  wanted: WantedChange;
  filter: CancelFilter | DeadLetterFilter;
  isDryRun: boolean;
  origin: string | null;
}

/** How far a bulk change had come when it was time to answer. */
export interface BulkProgress {
  /** As it was at the start. */
  matched: number;
  /** Changed so far. */
  done: number;
  /** Names it in the journal; null: nothing was to be done. */
  bulk: string | null;
  /** False: the rest is still being changed. */
  isComplete: boolean;
}

/** Emails of one request: their ids are 4 MB of JSON. */
const idsMax = 100_000;
/** Emails of one transaction: 0.1 s on an idle machine. */
const chunkSize = 1_000;
const answerWithinMsDefault = 20_000;

/**
 * Replays what the filter matches now, each once: what fails again meanwhile is not in the set.
 * Every chunk is one transaction; when one fails, those before it are done and the error is
 * thrown, or logged when the answer was given already.
 */
export async function replayInBulk(
  deps: BulkDeps,
  { filter, ratePerMinute, scheduledAt, isDryRun, origin }: BulkReplay,
  as: Claims,
): Promise<BulkProgress & { byStatus: FoundDeadLetters["byStatus"] }> {
  const { byStatus, ...found } = await deps.deadLetters.find(filter, idsMax, as);
  if (isDryRun) return { ...untouched(found.matched), byStatus };
  let start: string | null = null;
  const progress = await inChunks(deps, found, async ({ ids, done, bulk }) => {
    const chunk = { ids, start, first: done, ratePerMinute, scheduledAt, bulk, origin };
    const answer = await deps.deadLetters.replay(chunk, as);
    start = answer.start;
    return answer.replayed;
  });
  return { ...progress, byStatus };
}

/** Cancels what the filter matches now and the fence has not been reached by. */
export async function cancelInBulk(
  deps: BulkDeps,
  { filter, isDryRun, origin }: BulkCancelling,
  as: Claims,
): Promise<BulkProgress> {
  const found = await deps.bulkCancel.find(filter, idsMax, as);
  if (isDryRun) return untouched(found.matched);
  return inChunks(deps, found, ({ ids, bulk }) =>
    deps.bulkCancel.cancel({ ids, bulk, origin }, as),
  );
}

/** Holds, releases, reschedules or dismisses what the filter matches now. */
export async function changeInBulk(
  deps: BulkDeps,
  { wanted, filter, isDryRun, origin }: BulkChanging,
  as: Claims,
): Promise<BulkProgress> {
  const found = await deps.bulkChange.find(wanted, filter, idsMax, as);
  if (isDryRun) return untouched(found.matched);
  return inChunks(deps, found, ({ ids, bulk }) =>
    deps.bulkChange.change(wanted, { ids, bulk, origin }, as),
  );
}

const untouched = (matched: number) => ({ matched, done: 0, bulk: null, isComplete: true });

async function inChunks(
  deps: BulkDeps,
  { matched, ids }: { matched: number; ids: string[] },
  change: (chunk: { ids: string[]; done: number; bulk: string }) => Promise<number>,
): Promise<BulkProgress> {
  const bulk = deps.newId();
  let done = 0;
  let isAnswered = false;
  let isComplete = false;
  async function run(): Promise<void> {
    for (let at = 0; at < ids.length && !deps.isDraining(); at += chunkSize) {
      done += await change({ ids: ids.slice(at, at + chunkSize), done, bulk });
    }
    isComplete = !deps.isDraining();
    if (isAnswered) deps.log.info("bulk change ended", { bulk_id: bulk, count: done, matched });
  }
  const running = run();
  running.catch((err: unknown) => {
    if (isAnswered) deps.log.error("bulk change ended early", { bulk_id: bulk, count: done, err });
  });
  await untilOrAfter(running, deps.answerWithinMs ?? answerWithinMsDefault);
  isAnswered = true;
  return { matched, done, bulk, isComplete };
}

/** Rejects as the promise does, unless the time is over first. */
async function untilOrAfter(promise: Promise<void>, timeoutMs: number): Promise<void> {
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(over.resolve, timeoutMs);
  await Promise.race([promise, over.promise]).finally(() => clearTimeout(timer));
}
