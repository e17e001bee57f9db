import type { Claim } from "../store/attempts.ts";

/**
 * The claims that this process has in memory: buffered, begun, being settled or returned, and the
 * emails that a call under way may claim. The self-audit compares it with the database: whatever
 * is claimed there and not in memory here has no owner.
 */
export interface ClaimsInMemory {
  /**
   * From here on the claim is in memory, until the function that this returns is called. One claim
   * may be kept several times at once, by the buffer and by a settle, say.
   */
  keep(claim: Claim): () => void;
  /** A call that may claim these emails begins. End it, after keeping what was granted. */
  ask(ids: readonly string[]): Asking;
  /** A call begins that may claim emails nobody can name before its answer. */
  askForAny(): Asking;
  /** A call under way may claim emails that nobody can name yet. */
  readonly isAskingForAny: boolean;
  /** Such a call ended without an answer since this was read last: any email may be claimed. */
  takeLostAny(): boolean;
  /** Whether the claim is in memory, or its email part of a call under way. */
  has(claim: Claim): boolean;
  /** Emails whose call ended without an answer within the last minute: they may be claimed. */
  lostIds(): string[];
  /** How many claims are in memory. */
  readonly count: number;
  list(): Claim[];
}

export interface Asking {
  /** The answer came; what it granted is kept. */
  end(): void;
  /** No answer came, so that the call may have been committed, or may still be. */
  lose(): void;
}

export interface ClaimsInMemoryOptions {
  /** Called when an answer was lost. */
  onLost?: () => void;
  /** A steady clock in ms; a test gives its own. */
  now?: () => number;
}

/** After this long a claim that commits late is found by its age like any other. */
const lostKeptMs = 60_000;

export function createClaimsInMemory({
  onLost = () => {},
  now = () => performance.now(),
}: ClaimsInMemoryOptions = {}): ClaimsInMemory {
  const kept = new Map<string, { claim: Claim; times: number }>();
  const asked = new Map<string, number>();
  const lost = new Map<string, number>();
  const anyCalls = createAnyCalls(onLost);

  function forgetOldLosses(): void {
    for (const [id, at] of lost) {
      // Oldest first: a Map keeps the order of insertion.
      if (now() - at <= lostKeptMs) return;
      lost.delete(id);
    }
  }

  return {
    keep({ id, token }) {
      const key = keyOf({ id, token });
      const entry = kept.get(key) ?? { claim: { id, token }, times: 0 };
      entry.times += 1;
      kept.set(key, entry);
      return once(() => {
        entry.times -= 1;
        if (entry.times === 0) kept.delete(key);
      });
    },
    ask(ids) {
      for (const id of ids) asked.set(id, (asked.get(id) ?? 0) + 1);
      const end = once(() => {
        for (const id of ids) {
          const left = (asked.get(id) ?? 1) - 1;
          if (left === 0) asked.delete(id);
          else asked.set(id, left);
        }
      });
      return {
        end,
        lose() {
          end();
          if (ids.length === 0) return;
          for (const id of ids) {
            lost.delete(id);
            lost.set(id, now());
          }
          onLost();
        },
      };
    },
    askForAny: anyCalls.ask,
    get isAskingForAny() {
      return anyCalls.isUnderWay;
    },
    takeLostAny: anyCalls.takeLost,
    has: (claim) => kept.has(keyOf(claim)) || asked.has(claim.id),
    lostIds() {
      forgetOldLosses();
      return [...lost.keys()];
    },
    get count() {
      return kept.size;
    },
    list: () => [...kept.values()].map(({ claim }) => claim),
  };
}

/** Calls that may claim emails nobody can name before their answer. */
function createAnyCalls(onLost: () => void) {
  let count = 0;
  let hasLost = false;
  return {
    get isUnderWay() {
      return count > 0;
    },
    ask(): Asking {
      count += 1;
      const end = once(() => {
        count -= 1;
      });
      return {
        end,
        lose() {
          end();
          hasLost = true;
          onLost();
        },
      };
    },
    takeLost(): boolean {
      const had = hasLost;
      hasLost = false;
      return had;
    },
  };
}

function keyOf({ id, token }: Claim): string {
  return `${id}:${token}`;
}

function once(run: () => void): () => void {
  let hasRun = false;
  return () => {
    if (!hasRun) run();
    hasRun = true;
  };
}
