/**
 * A waiting line for a few places: the owners take turns, and each owner's own entries come
 * in their order. A flood of one owner delays another's mail by one turn, not by the flood.
 */
export interface Turns<T> {
  readonly size: number;
  add(ownerId: string, waiter: T): void;
  /** Has the next turn, before all others. */
  addFirst(ownerId: string, waiter: T): void;
  /** The next one, who waits no more; undefined: nobody waits. */
  next(): T | undefined;
  /** The next so many, in the order of their turns if nobody comes meanwhile; they still wait. */
  peek(count: number): T[];
  /** Takes one who waits no more out of the line. */
  remove(ownerId: string, waiter: T): void;
  /** All for whom this holds, who wait no more. */
  takeOut(isOut: (waiter: T) => boolean): T[];
}

export function createTurns<T>(): Turns<T> {
  /** Owners of whom somebody waits; the first has the next turn. */
  let lines = new Map<string, T[]>();
  let size = 0;

  return {
    get size() {
      return size;
    },
    add(ownerId, waiter) {
      size += 1;
      const line = lines.get(ownerId);
      if (line) line.push(waiter);
      else lines.set(ownerId, [waiter]);
    },
    addFirst(ownerId, waiter) {
      size += 1;
      const line = lines.get(ownerId) ?? [];
      lines.delete(ownerId);
      lines = new Map([[ownerId, [waiter, ...line]], ...lines]);
    },
    next() {
      const [first] = lines;
      if (!first) return undefined;
      const [ownerId, line] = first;
      size -= 1;
      const waiter = line.shift();
      lines.delete(ownerId);
      if (line.length > 0) lines.set(ownerId, line);
      return waiter;
    },
    peek(count) {
      const found: T[] = [];
      for (let turn = 0; found.length < Math.min(count, size); turn++) {
        for (const line of lines.values()) {
          const waiter = line[turn];
          if (waiter !== undefined && found.length < count) found.push(waiter);
        }
      }
      return found;
    },
    remove(ownerId, waiter) {
      const line = lines.get(ownerId);
      const at = line?.indexOf(waiter) ?? -1;
      if (!line || at < 0) return;
      line.splice(at, 1);
      size -= 1;
      if (line.length === 0) lines.delete(ownerId);
    },
    takeOut(isOut) {
      const out: T[] = [];
      for (const [ownerId, line] of lines) {
        const left: T[] = [];
        for (const waiter of line) (isOut(waiter) ? out : left).push(waiter);
        if (left.length > 0) lines.set(ownerId, left);
        else lines.delete(ownerId);
      }
      size -= out.length;
      return out;
    },
  };
}
