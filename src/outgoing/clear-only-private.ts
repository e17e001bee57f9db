import { parseTarget } from "./parse-target.ts";
import { type Lookup, lookupAddresses, resolveTarget } from "./resolve-target.ts";

/** How long an answer of the resolver counts. */
const keptMs = 60_000;

/**
 * For a URL whose requests are another library's: `http://` leads to private addresses only, so
 * that no secret goes to the internet in clear. Rejects with `OutgoingError`; of `https://` nobody
 * is asked.
 */
export function clearOnlyPrivate(
  url: string,
  lookup: Lookup = lookupAddresses,
): () => Promise<void> {
  if (new URL(url).protocol === "https:") return async () => {};
  let kept: { done: Promise<void>; at: number } | null = null;
  return () => {
    if (kept !== null && performance.now() - kept.at < keptMs) return kept.done;
    const asked = { done: resolvePrivate(url, lookup), at: performance.now() };
    kept = asked;
    // A failure is for whoever waits for it, and for nobody after.
    asked.done.catch(() => {
      if (kept === asked) kept = null;
    });
    return asked.done;
  };
}

async function resolvePrivate(url: string, lookup: Lookup): Promise<void> {
  await resolveTarget(parseTarget(url, true), { allowPrivate: true, lookup });
}
