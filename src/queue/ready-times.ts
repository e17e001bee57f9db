/**
 * When a job becomes ready, beside its email's moment: a little before it, so that a worker waits
 * for the moment itself; a flood's from the moment on, faster than it can be sent. BullMQ makes
 * ready up to 1,000 jobs within one command, for 10 ms, and everybody's next command waits.
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
const readyPerMs = 5;
/** A flood of more than 300,000 becomes ready in as many waves. */
export const putOffMsMax = 60_000;
/** What is due within this counts as due at one moment; up to 1,000 a second are no flood. */
const momentMs = 10;

export function createReadyTimes(): ReadyTimes {
  /** How many emails of floods are due at each moment. */
  const counts = new Map<number, number>();

  return {
    leadOf({ dueAt, isBehind }) {
      if (!isBehind) return leadMs;
      const moment = Math.floor(dueAt / momentMs);
      const count = counts.get(moment) ?? 0;
      counts.set(moment, count + 1);
      const surplus = count - leadCountMax;
      return surplus < 0 ? leadMs : -Math.floor((surplus / readyPerMs) % putOffMsMax);
    },
    forgetPast(now) {
      const present = Math.floor(now / momentMs);
      for (const moment of counts.keys()) if (moment < present) counts.delete(moment);
    },
  };
}
