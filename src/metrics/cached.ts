/** Answers stay this long at least, so that scraping, however eager, cannot be felt. */
const freshMs = 5_000;
/** One that took long to get stays longer: reading never takes more than a twentieth of the time. */
const restFactor = 20;

/**
 * Keeps what `read` answered for a while; whoever asks meanwhile gets the same. A failure is kept
 * as long, as null.
 */
export function cached<T>(
  read: () => Promise<T | null>,
  now: () => number = () => performance.now(),
): () => Promise<T | null> {
  let current: Promise<T | null> = Promise.resolve(null);
  let staleAt = Number.NEGATIVE_INFINITY;

  async function refresh(): Promise<T | null> {
    const startedAt = now();
    const answer = await read().catch(() => null);
    staleAt = now() + Math.max(freshMs, (now() - startedAt) * restFactor);
    return answer;
  }

  return () => {
    if (now() >= staleAt) {
      staleAt = Number.POSITIVE_INFINITY;
      current = refresh();
    }
    return current;
  };
}
