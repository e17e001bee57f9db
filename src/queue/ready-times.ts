/**
 * When a job becomes ready, beside its email's moment: a little before it, so that a worker waits
 * for the moment itself. Of a flood as many as workers hold come seconds before it, to be claimed
 * ahead; the rest from the moment on, faster than it can be sent. BullMQ makes ready up to 1,000
 * jobs within one command, for 10 ms, and everybody's next command waits.
 */
export interface ReadyTimes {
  /**
   * How long before its moment an email's job becomes ready, in ms; negative: after it. For one
   * that is not near; `dueAt` is ms since 1970.
   */
  leadOf(email: { dueAt: number; isBehind: boolean }): number;
  /** Moments that are past need no counting any more. */
  forgetPast(now: number): void;
}

/**
 * A job comes so much before its time, and the worker that takes it waits for the rest: Redis
 * looks at its clock every 100 ms only, and a burst takes a while to be handed out.
 */
export const leadMs = 150;
/** Of a flood's moment; more would fill the workers before it is due. */
const leadCountMax = 10;
/** The first that is claimed ahead becomes ready so long before its time; the others follow. */
export const aheadMs = 3_000;
/** So many are claimed ahead of what is due within one such span. */
const aheadSpanMs = 5_000;
export const readyPerMs = 5;
/** A flood of more than 300,000 becomes ready in as many waves. */
export const putOffMsMax = 60_000;
/** What is due within this counts as due at one moment; up to 1,000 a second are no flood. */
const momentMs = 10;

/** `aheadMax`: emails that workers hold ahead of their time; 0: they hold none. */
export function createReadyTimes({ aheadMax = 0 } = {}): ReadyTimes {
  /** How many emails of floods are due at each moment, and are not claimed ahead. */
  const counts = new Map<number, number>();
  /** How many are claimed ahead, by the span they are due in. */
  const aheadCounts = new Map<number, number>();

  function leadAhead(dueAt: number): number | null {
    const span = Math.floor(dueAt / aheadSpanMs);
    const count = aheadCounts.get(span) ?? 0;
    if (count >= aheadMax) return null;
    aheadCounts.set(span, count + 1);
    return aheadMs - Math.floor(count / readyPerMs);
  }

  return {
    leadOf({ dueAt, isBehind }) {
      if (!isBehind) return leadMs;
      const moment = Math.floor(dueAt / momentMs);
      const count = counts.get(moment) ?? 0;
      const surplus = count - leadCountMax;
      const ahead = surplus < 0 ? null : leadAhead(dueAt);
      if (ahead !== null) return ahead;
      counts.set(moment, count + 1);
      return surplus < 0 ? leadMs : -Math.floor((surplus / readyPerMs) % putOffMsMax);
    },
    forgetPast(now) {
      const present = Math.floor(now / momentMs);
      for (const moment of counts.keys()) if (moment < present) counts.delete(moment);
      const span = Math.floor(now / aheadSpanMs);
      for (const past of aheadCounts.keys()) if (past < span) aheadCounts.delete(past);
    },
  };
}
