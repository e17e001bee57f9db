import { callBudgetLeftMs } from "./call-budget.ts";
import { unansweredError } from "./call-error.ts";

/** One item of a group commit, from `add` to its result. */
export interface WaitingItem<I, O> {
  item: I;
  sizeBytes: number;
  /** It travels alone, and longer than others. */
  isLarge: boolean;
  /** By `performance.now()`. */
  readonly expiresAt: number;
  /** It has its result, or was refused; whatever comes later concerns nobody. */
  readonly isSettled: boolean;
  resolve(result: O): void;
  reject(error: unknown): void;
}

export interface WaitingLimits<I> {
  sizeOf: (item: I) => number;
  itemsMax: number;
  bytesMax: number;
  aloneBytes: number;
  deadlineMs: number;
}

/** How often it is looked who has waited too long; a refusal may come this much late. */
const lookEveryMs = 100;

/** The items of a group commit that wait for a call, and the deadline of all that have no result. */
export class Waiting<I, O> {
  private line: WaitingItem<I, O>[] = [];
  private bytes = 0;
  /** All that have no result yet, those under way included. */
  private readonly open = new Set<WaitingItem<I, O>>();
  private look: Timer | null = null;

  constructor(private readonly limits: WaitingLimits<I>) {}

  get count(): number {
    return this.line.length;
  }

  get isFull(): boolean {
    return this.line.length >= this.limits.itemsMax || this.bytes >= this.limits.bytesMax;
  }

  /** Starts the item's deadline; it waits for no call yet. */
  admit(item: I, resolve: (result: O) => void, reject: (error: unknown) => void) {
    const sizeBytes = this.limits.sizeOf(item);
    const leftMs = Math.min(this.limits.deadlineMs, callBudgetLeftMs());
    const deadlineMs = leftMs + Math.floor(sizeBytes / 1_000_000) * 1_000;
    const isLarge = sizeBytes >= this.limits.aloneBytes;
    const settle = () => this.open.delete(one);
    const one: WaitingItem<I, O> & { isSettled: boolean } = {
      item,
      sizeBytes,
      isLarge,
      expiresAt: performance.now() + deadlineMs,
      isSettled: false,
      resolve(result) {
        if (one.isSettled) return;
        one.isSettled = true;
        settle();
        resolve(result);
      },
      reject(error) {
        if (one.isSettled) return;
        one.isSettled = true;
        settle();
        reject(error);
      },
    };
    this.open.add(one);
    this.look ??= setInterval(() => this.rejectExpired(), lookEveryMs);
    return one;
  }

  push(one: WaitingItem<I, O>): void {
    this.line.push(one);
    this.bytes += one.sizeBytes;
  }

  /** As many from the front as fit into one call; at least one. */
  takeBatch(): WaitingItem<I, O>[] {
    const batch = this.line.splice(0, countOf(this.line, this.limits));
    this.bytes -= batch.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    return batch;
  }

  /** Tells everybody who waits for a call. */
  rejectAll(error: unknown): void {
    const refused = this.line;
    this.line = [];
    this.bytes = 0;
    for (const one of refused) one.reject(error);
  }

  private rejectExpired(): void {
    const now = performance.now();
    const expired = [...this.open].filter(({ expiresAt }) => expiresAt <= now);
    if (expired.length > 0) {
      const error = unansweredError(new Error("no result of a call of many in time"));
      for (const one of expired) one.reject(error);
      this.line = this.line.filter(({ isSettled }) => !isSettled);
      this.bytes = this.line.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    }
    if (this.open.size > 0 || this.look === null) return;
    clearInterval(this.look);
    this.look = null;
  }
}

function countOf(
  line: readonly { sizeBytes: number }[],
  { itemsMax, bytesMax, aloneBytes }: Omit<WaitingLimits<never>, "sizeOf" | "deadlineMs">,
): number {
  let bytes = 0;
  let count = 0;
  for (const { sizeBytes } of line) {
    bytes += sizeBytes;
    if (count > 0 && (bytes > bytesMax || sizeBytes >= aloneBytes)) break;
    count += 1;
    if (count === itemsMax || sizeBytes >= aloneBytes) break;
  }
  return count;
}
