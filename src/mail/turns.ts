/**
 * Who waits for one of a few places, in turns: the owners take turns, and each owner's own come
 * in their order. A flood of one owner delays another's mail by one turn, not by the flood.
 */
export interface Turns<T> {
  add(ownerId: string, waiter: T): void;
  /** The next one, who waits no more; undefined: nobody waits. */
  next(): T | undefined;
  /** Takes one who waits no more out of the line. */
  remove(ownerId: string, waiter: T): void;
  /** Everybody, who all wait no more. */
  clear(): T[];
}

export function createTurns<T>(): Turns<T> {
  /** Owners of whom somebody waits; the first has the next turn. */
  const lines = new Map<string, T[]>();

  return {
    add(ownerId, waiter) {
      const line = lines.get(ownerId);
      if (line) line.push(waiter);
      else lines.set(ownerId, [waiter]);
    },
    next() {
      const [first] = lines;
      if (!first) return undefined;
      const [ownerId, line] = first;
      const waiter = line.shift();
      lines.delete(ownerId);
      if (line.length > 0) lines.set(ownerId, line);
      return waiter;
    },
    remove(ownerId, waiter) {
      const line = lines.get(ownerId);
      const at = line?.indexOf(waiter) ?? -1;
      if (!line || at < 0) return;
      line.splice(at, 1);
      if (line.length === 0) lines.delete(ownerId);
    },
    clear() {
      const all = [...lines.values()].flat();
      lines.clear();
      return all;
    },
  };
}
