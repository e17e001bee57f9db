import type { Buffer } from "./buffer.ts";
import { type Permits, prefetchMs } from "./dispatcher.ts";
import type { Breaker, Pass } from "./limits/breaker.ts";
import type { Admission, RateLimit } from "./limits/rate-limit.ts";

/** The right to open one conversation: of the breaker and of the rate limit together. */
export interface Permit {
  pass: Pass;
  admission: Admission;
  /** Ends it, whatever became of the email. Once more does nothing. */
  release(): void;
}

export interface PermitDeps {
  breaker: Breaker;
  rateLimit: RateLimit;
  buffer: Pick<Buffer, "count">;
  /** False while outcomes that cannot be written pile up: nothing more is risked. */
  hasRoom: () => boolean;
  /** False while the database is not there to grant a fence: each conversation would end after DATA. */
  canFence: () => boolean;
}

/** Emails claimed while the transport starts again slowly, for each that it lets through. */
const claimedPerPass = 4;

/** Several, since a probe is never the email or the sender of the failed one while others are due. */
const probeCandidates = 8;

export function createPermits(deps: PermitDeps): Permits<Permit> {
  const { breaker, rateLimit, buffer } = deps;
  /** What the rate allows within the prefetch, twice, so that a late answer leaves no slot unused. */
  const byRate =
    rateLimit.perSecond === null
      ? Number.POSITIVE_INFINITY
      : Math.max(1, Math.ceil((2 * rateLimit.perSecond * prefetchMs) / 1_000));

  return {
    get claimable() {
      if (!deps.hasRoom()) return { count: 0, aheadMs: 0 };
      const { state, nextProbeInMs, limit } = breaker.snapshot();
      if (state !== "closed") {
        // A buffered email goes as the probe; without any, a few are claimed for it.
        const isDue = state === "open" && nextProbeInMs === 0 && buffer.count === 0;
        return { count: isDue ? probeCandidates : 0, aheadMs: 0 };
      }
      const byBreaker = breaker.isOpenWide ? Number.POSITIVE_INFINITY : limit * claimedPerPass;
      const count = Math.max(0, Math.min(byRate, byBreaker) - buffer.count);
      return { count, aheadMs: prefetchMs };
    },
    tryTake() {
      if (!deps.canFence()) return null;
      const admission = rateLimit.tryAdmit();
      if (!admission) return null;
      const pass = breaker.tryEnter();
      if (!pass) {
        admission.end();
        return null;
      }
      return {
        pass,
        admission,
        release() {
          // Unless the conversation has said more already.
          pass.leave("nothing");
          admission.end();
        },
      };
    },
  };
}
