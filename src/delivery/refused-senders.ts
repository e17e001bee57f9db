/**
 * Senders whose MAIL FROM the next hop refuses for good. Their emails wait without spending
 * attempts, and one at a time goes ahead as a probe, after waits that double. Known to this process
 * only: another one is told the same by its own first refusal.
 */
export interface RefusedSenders {
  /** 0: go ahead, as the probe if the sender was refused; else milliseconds to wait. */
  enter(sender: string): number;
  /** MAIL was refused. Answers with the milliseconds until the next probe. */
  refuse(sender: string): number;
  /** MAIL was accepted, or the refusal turned out to be the transport's: everybody may go. */
  accept(sender: string): void;
  /** The email that was let in ended without an answer to MAIL. */
  leave(sender: string): void;
}

export interface RefusedSendersOptions {
  /** Length of the retry schedule's minute: 60,000, or less in tests, which scales the waits. */
  minuteMs: number;
  /** More are not remembered: those refused longest ago are forgotten. Default 10,000. */
  sendersMax?: number;
  /** A steady clock in ms; a test gives its own. */
  now?: () => number;
}

interface Refusal {
  delayMs: number;
  until: number;
  isProbing: boolean;
}

const firstDelayMinutes = 0.5;
/** A backlog of 10,000 emails of one sender comes back 17 times a second, to be returned. */
const longestDelayMinutes = 10;

export function createRefusedSenders(options: RefusedSendersOptions): RefusedSenders {
  const { minuteMs, sendersMax = 10_000, now = performance.now.bind(performance) } = options;
  const refusals = new Map<string, Refusal>();

  function remember(sender: string, delayMs: number): void {
    refusals.delete(sender);
    refusals.set(sender, { delayMs, until: now() + delayMs, isProbing: false });
    const oldest = refusals.keys().next().value;
    if (refusals.size > sendersMax && oldest !== undefined) refusals.delete(oldest);
  }

  return {
    enter(sender) {
      const refusal = refusals.get(sender);
      if (!refusal) return 0;
      const leftMs = refusal.until - now();
      if (leftMs > 0) return Math.ceil(leftMs);
      if (refusal.isProbing) return Math.ceil(refusal.delayMs);
      refusal.isProbing = true;
      return 0;
    },
    refuse(sender) {
      const known = refusals.get(sender);
      const leftMs = known ? known.until - now() : 0;
      // Those that were under way when it was refused say nothing new.
      if (leftMs > 0) return Math.ceil(leftMs);
      const doubledMs = Math.min((known?.delayMs ?? 0) * 2, longestDelayMinutes * minuteMs);
      const delayMs = doubledMs || firstDelayMinutes * minuteMs;
      remember(sender, delayMs);
      return Math.ceil(delayMs);
    },
    accept(sender) {
      refusals.delete(sender);
    },
    leave(sender) {
      const refusal = refusals.get(sender);
      if (refusal) refusal.isProbing = false;
    },
  };
}
