/**
 * Domains whose mail the next hop does not want just now. Known to this process only: another one
 * is told the same by its own first 421.
 */
export interface Destinations {
  /** The next hop said to come later for these domains; the wait doubles with every time. */
  backOff(domains: Iterable<string>): void;
  /** Mail for these domains was taken: they start anew. */
  succeed(domains: Iterable<string>): void;
  /** Milliseconds until one of the domains may be tried; 0: now. */
  remainingMs(domains: Iterable<string>): number;
}

export interface DestinationsOptions {
  /** Length of the retry schedule's minute: 60,000, or less in tests, which scales the waits. */
  minuteMs: number;
  /** More are not remembered: those not heard of for longest are forgotten. Default 10,000. */
  domainsMax?: number;
}

interface BackOff {
  delayMs: number;
  until: number;
}

const firstDelayMinutes = 0.5;
const longestDelayMinutes = 30;

export function createDestinations(options: DestinationsOptions): Destinations {
  const { minuteMs, domainsMax = 10_000 } = options;
  /** In the order of their last 421. */
  const backOffs = new Map<string, BackOff>();
  // Monotonic, so that a clock that is set cannot prolong the wait.
  const remaining = (domain: string) =>
    Math.max(0, (backOffs.get(domain)?.until ?? 0) - performance.now());

  function backOffOne(domain: string): void {
    const known = backOffs.get(domain);
    // Those that were under way when it was backed off say nothing new.
    if (known && remaining(domain) > 0) return;
    const delayMs = known
      ? Math.min(known.delayMs * 2, longestDelayMinutes * minuteMs)
      : firstDelayMinutes * minuteMs;
    backOffs.delete(domain);
    backOffs.set(domain, { delayMs, until: performance.now() + delayMs });
    const oldest = backOffs.keys().next().value;
    if (backOffs.size > domainsMax && oldest !== undefined) backOffs.delete(oldest);
  }

  return {
    backOff(domains) {
      for (const domain of new Set(domains)) backOffOne(domain);
    },
    succeed(domains) {
      for (const domain of domains) backOffs.delete(domain);
    },
    remainingMs(domains) {
      const waits = [...domains].map(remaining);
      return waits.length === 0 ? 0 : Math.ceil(Math.min(...waits));
    },
  };
}
