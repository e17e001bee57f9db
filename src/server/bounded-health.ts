import type { HealthReport } from "./health.ts";

/** A probe needs no credential and costs a call of the database: so many begin in each window. */
const looksPerWindow = 3;
const windowMs = 100;

/**
 * Bounds what a flood of probes costs: beyond three looks in 100 ms, whoever asks gets the look
 * begun last. All others see what this process knows now, right after a refused request, say; what other
 * processes tell is up to a second old.
 */
export function boundHealth(
  look: () => Promise<HealthReport>,
  now: () => number = () => performance.now(),
): () => Promise<HealthReport> {
  let kept: Promise<HealthReport> | null = null;
  let window = { endsAt: Number.NEGATIVE_INFINITY, looks: 0 };
  return () => {
    if (now() >= window.endsAt) window = { endsAt: now() + windowMs, looks: 0 };
    if (kept !== null && window.looks >= looksPerWindow) return kept;
    window.looks += 1;
    const fresh = look();
    kept = fresh;
    // A failure is for those who saw it: whoever comes next looks anew.
    fresh.catch(() => {
      if (kept === fresh) kept = null;
    });
    return fresh;
  };
}
