import { contendedError, isContended } from "./call-error.ts";
import type { WaitingItem } from "./waiting-items.ts";

/** Stands in the place of a result: another transaction holds this item's row. */
export const contended: unique symbol = Symbol("contended");
export type Contended = typeof contended;

/** Sends one item by itself; it may wait for its lock this long. */
export type AloneCall<I, O> = (item: I, lockTimeoutMs: number) => Promise<O | Contended>;

/** Two at a time: each holds a connection while it waits for its lock. */
const callsMax = 2;
/** With so many waiting, another is refused at once: its caller comes again. */
const waitingMax = 16;
const lockTimeoutMs = 500;
/** A deadlock or a serialization failure is over at once, so a second try is worth it. */
const triesMax = 2;
const knownMax = 1_000;

/**
 * Items whose row another transaction holds. Each is sent by itself, so that nobody else waits
 * for its lock, and is refused when the lock outlasts two tries: whoever added it decides.
 */
export class ContendedItems<I, O> {
  private readonly line: WaitingItem<I, O>[] = [];
  /** Keys of items that were refused: the next time they are kept apart from the start. */
  private readonly known = new Set<string>();
  private calls = 0;

  constructor(
    private readonly send: AloneCall<I, O>,
    private readonly keyOf: (item: I) => string,
    private readonly onEmpty: () => void,
  ) {}

  get count(): number {
    return this.line.length + this.calls;
  }

  isKnown(item: I): boolean {
    return this.known.size > 0 && this.known.has(this.keyOf(item));
  }

  add(one: WaitingItem<I, O>): void {
    if (this.line.length >= waitingMax) {
      this.refuse(one, new Error(`${this.line.length} others wait for locks already`));
      return;
    }
    this.line.push(one);
    void this.pump();
  }

  private async pump(): Promise<void> {
    if (this.calls >= callsMax) return;
    this.calls += 1;
    for (let one = this.line.shift(); one; one = this.line.shift()) await this.run(one);
    this.calls -= 1;
    if (this.count === 0) this.onEmpty();
  }

  private async run(one: WaitingItem<I, O>): Promise<void> {
    let cause: unknown = new Error("another transaction holds the row");
    for (let tries = 1; tries <= triesMax && !one.isSettled; tries++) {
      try {
        const result = await this.send(one.item, lockTimeoutMs);
        if (result === contended) continue;
        this.known.delete(this.keyOf(one.item));
        one.resolve(result);
        return;
      } catch (error) {
        if (!isContended(error)) {
          one.reject(error);
          return;
        }
        cause = error;
      }
    }
    this.refuse(one, cause);
  }

  private refuse(one: WaitingItem<I, O>, cause: unknown): void {
    const key = this.keyOf(one.item);
    if (key !== "") this.remember(key);
    one.reject(contendedError(cause));
  }

  /** The oldest is forgotten first: its next batch finds out again. */
  private remember(key: string): void {
    this.known.delete(key);
    this.known.add(key);
    const [oldest] = this.known;
    if (this.known.size > knownMax && oldest !== undefined) this.known.delete(oldest);
  }
}
