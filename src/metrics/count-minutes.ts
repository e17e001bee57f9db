import type { Outcome } from "../email/email.ts";
import type { Logger } from "../log.ts";
import { createAnswerWithin } from "../runtime/answer-within.ts";
import { latenessBoundsMs, type Minute, type Minutes } from "../store/minutes.ts";

/** Counts what this process does, minute by minute, and writes it for the charts of all. */
export interface MinuteCounter {
  noteAccepted(count: number): void;
  noteAttempt(outcome: Outcome): void;
  /** A first attempt began so many ms after its time. */
  noteLateness(ms: number): void;
  /** To be called every second; writes every ten, and only what changed. Never rejects. */
  look(): Promise<void>;
  /** Writes what has not been written, at the end of the process. Never rejects. */
  flush(): Promise<void>;
}

export interface MinuteCounterDeps {
  minutes: Pick<Minutes, "record">;
  /** By the database's clock. */
  now: () => Date;
  log: Logger;
  /** A steady clock in ms; a test gives its own. */
  monotonicMs?: () => number;
}

const minuteMs = 60_000;
const writeEveryMs = 10_000;
const timeoutMs = 2_000;
/** Minutes that are kept while the database takes none; older ones are missing from the charts. */
const keptMax = 120;

export function createMinuteCounter(deps: MinuteCounterDeps): MinuteCounter {
  const { minutes, now, log, monotonicMs = () => performance.now() } = deps;
  const event = "figures of the last minutes cannot be written; trying again";
  const answerWithin = createAnswerWithin({ timeoutMs, event, log });
  /** By their beginning; those that changed since they were written. */
  const unwritten = new Map<number, Minute>();
  /** Of the running minute, which is written more than once. */
  let running: Minute | null = null;
  let writtenAt = monotonicMs();

  function current(): Minute {
    const beganAt = Math.floor(now().getTime() / minuteMs) * minuteMs;
    // Set back, the clock must not begin a minute anew that was written already.
    if (running === null || running.minute.getTime() < beganAt) {
      running = emptyMinute(new Date(beganAt));
    }
    unwritten.set(running.minute.getTime(), running);
    const [oldest] = unwritten.keys();
    if (unwritten.size > keptMax && oldest !== undefined) unwritten.delete(oldest);
    return running;
  }

  async function flush(): Promise<void> {
    if (unwritten.size === 0) return;
    const written = structuredClone([...unwritten.values()]);
    const isTaken = await answerWithin(minutes.record(written).then(() => true));
    if (!isTaken) return;
    for (const minute of written) {
      const at = minute.minute.getTime();
      // A count that rose while it was written is written next time.
      if (Bun.deepEquals(unwritten.get(at), minute)) unwritten.delete(at);
    }
  }

  return {
    noteAccepted(count) {
      current().accepted += count;
    },
    noteAttempt(outcome) {
      current()[outcome] += 1;
    },
    noteLateness(ms) {
      const found = latenessBoundsMs.findIndex((bound) => ms <= bound);
      const place = found === -1 ? latenessBoundsMs.length : found;
      const { lateness } = current();
      lateness[place] = (lateness[place] ?? 0) + 1;
    },
    async look() {
      if (monotonicMs() - writtenAt < writeEveryMs) return;
      writtenAt = monotonicMs();
      await flush();
    },
    flush,
  };
}

function emptyMinute(minute: Date): Minute {
  return {
    ...{ minute, accepted: 0, sent: 0, partial: 0, deferred: 0, bounced: 0, uncertain: 0 },
    lateness: new Array(latenessBoundsMs.length + 1).fill(0),
  };
}
