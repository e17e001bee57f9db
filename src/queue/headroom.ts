/**
 * Keeps a flood from filling every connection and every turn of the process while somebody else
 * sends too: of an owner's emails that wait behind their own, only so many run at once. Whoever
 * is alone has everything.
 */
export interface Headroom {
  /**
   * Resolves when the email may begin, to what is to be called when it is over. Rejects when
   * `signal` aborts before that.
   */
  enter(standing: Standing, signal: AbortSignal): Promise<() => void>;
  /** The same for one behind a flood that does not wait; null: it may not begin now. */
  tryEnter(line: number | undefined): (() => void) | null;
  /**
   * Jobs that the worker may hold now. While several owners send they are fewer: BullMQ fetches
   * as many as it may, one after another, before it begins with any.
   */
  readonly jobsMax: number;
}

/** How an email stands in the queue. */
export interface Standing {
  /** The same for emails of one owner; absent: not known. */
  line: number | undefined;
  /** It stands behind so many of its owner's that its time has passed, or will have. */
  isBehind: boolean;
}

/** Others count for so long after their last email that was on time. */
const othersCountMs = 60_000;

export interface HeadroomOptions {
  /** Jobs that a worker holds at once: of one owner; while several send. */
  jobsMax: { alone: number; shared: number };
  /** Emails of floods that run at once while others send. */
  behindMax: number;
  /** A steady clock in ms; a test gives its own. */
  now?: () => number;
}

export function createHeadroom(options: HeadroomOptions): Headroom {
  const { jobsMax, behindMax, now = performance.now } = options;
  /** The last two owners whose mail was on time: one of them is another than any flood's. */
  let seen: { line: number; at: number }[] = [];
  const waiting: { line: number | undefined; begin: () => void }[] = [];
  let behind = 0;

  function see(line: number): void {
    seen = [{ line, at: now() }, ...seen.filter((one) => one.line !== line)].slice(0, 2);
  }

  const recent = () => seen.filter(({ at }) => now() - at < othersCountMs);

  function mayBegin(line: number | undefined): boolean {
    return behind < behindMax || recent().every((one) => one.line === line);
  }

  function pump(): void {
    for (;;) {
      const first = waiting[0];
      if (first === undefined || !mayBegin(first.line)) return;
      waiting.shift();
      first.begin();
    }
  }

  function begin(): () => void {
    behind += 1;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      behind -= 1;
      pump();
    };
  }

  function tryEnter(line: number | undefined): (() => void) | null {
    return waiting.length === 0 && mayBegin(line) ? begin() : null;
  }

  return {
    tryEnter,
    get jobsMax() {
      return recent().length > 1 ? jobsMax.shared : jobsMax.alone;
    },
    async enter({ line, isBehind }, signal) {
      if (!isBehind) {
        if (line !== undefined) see(line);
        return () => {};
      }
      return (
        tryEnter(line) ??
        new Promise((resolve, reject) => {
          const waiter = {
            line,
            begin: () => {
              signal.removeEventListener("abort", abort);
              resolve(begin());
            },
          };
          const abort = () => {
            const index = waiting.indexOf(waiter);
            if (index >= 0) waiting.splice(index, 1);
            reject(signal.reason);
          };
          if (signal.aborted) return reject(signal.reason);
          signal.addEventListener("abort", abort);
          waiting.push(waiter);
        })
      );
    },
  };
}
