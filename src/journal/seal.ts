import { isAppError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { createBell } from "../runtime/bell.ts";
import type { Journal, SealAnswer } from "../store/journal.ts";

export interface SealerDeps {
  store: Pick<Journal, "seal">;
  log: Logger;
  /** How often it looks without being told, in milliseconds; less often when all is quiet. Default 200. */
  everyMs?: number;
  /** Entries per call, hence per transaction. Default 1000. */
  limit?: number;
}

/** Keeps the journal sealed. Every process runs one; the database lets one at a time work. */
export interface Sealer {
  start(): void;
  /** Something was committed: look soon. Costs nothing and never throws. */
  nudge(): void;
  /** Something may have been committed: when it looks less often, look now and often again. */
  stir(): void;
  /**
   * Seals what was committed by now, whether the sealer runs or not; ends when that is done, when
   * sealing fails, or after timeoutMs. Never rejects.
   */
  catchUp(timeoutMs: number): Promise<void>;
  /** Calls back after each round that sealed something; returns how to end that. */
  onSealed(listener: () => void): () => void;
  /** Ends after the round under way, or at the timeout. Never rejects. */
  stop(timeoutMs: number): Promise<void>;
  /**
   * Milliseconds that the sealer is behind, so far as it knows: the age of the oldest entry
   * left unsealed; grows while rounds fail.
   */
  readonly lagMs: number;
}

/** Commits that follow each other closely are sealed in one round: each costs a commit itself. */
const gatherMs = 50;
/** How soon to look again when another process seals. */
const busyPauseMs = 20;
const failurePauseMsMax = 5_000;
/** Looks in vain after which it looks less often; a nudge or a stir wakes it all the same. */
const quietRounds = 25;
const quietMs = 1_000;

/** How long to wait between looks: longer once all has been quiet for a while. */
function createQuiet(everyMs: number, wake: () => void) {
  let roundsInVain = 0;
  const isQuiet = () => roundsInVain >= quietRounds;
  return {
    looked(isVain: boolean) {
      roundsInVain = isVain ? roundsInVain + 1 : 0;
    },
    lookEveryMs: () => (isQuiet() ? Math.max(everyMs, quietMs) : everyMs),
    stir() {
      if (!isQuiet()) return;
      roundsInVain = 0;
      wake();
    },
  };
}

/** One call after the other, whoever asks for it; what they found, and who wants to know. */
function createSealing(store: SealerDeps["store"], limit: number) {
  const listeners = new Set<() => void>();
  const found = { behindMs: 0, lookedAt: 0 };

  async function seal(): Promise<SealAnswer> {
    const answer = await store.seal(limit);
    found.lookedAt = performance.now();
    found.behindMs = answer.oldestMs;
    if (answer.sealed > 0) for (const listener of listeners) listener();
    return answer;
  }

  return {
    found,
    seal,
    async catchUp(timeoutMs: number): Promise<void> {
      const startedAt = performance.now();
      for (;;) {
        const elapsedMs = performance.now() - startedAt;
        if (elapsedMs >= timeoutMs) return;
        const { hasMore, isBusy, oldestMs } = await seal();
        // Entries of a flood that were written after the call are not waited for.
        if (!isBusy && (!hasMore || oldestMs < elapsedMs)) return;
        if (isBusy) await Bun.sleep(busyPauseMs);
      }
    },
    onSealed(listener: () => void): () => void {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

export function createSealer({ store, log, everyMs = 200, limit = 1_000 }: SealerDeps): Sealer {
  const nudged = createBell();
  const stopped = createBell();
  const sealing = createSealing(store, limit);
  const { found } = sealing;
  let isStopping = false;
  let loop: Promise<void> | null = null;
  let failures = 0;
  const quiet = createQuiet(everyMs, nudged.ring);

  /** Milliseconds to let pass before anything else, however loud the nudges. */
  async function round(): Promise<number> {
    const startedAt = performance.now();
    const { sealed, hasMore, isBusy, oldestMs } = await sealing.seal();
    quiet.looked(sealed === 0 && !isBusy && oldestMs === 0);
    if (hasMore) return 0;
    // The process that is sealing seals ours too.
    if (isBusy) return everyMs;
    // On a slow database the pauses grow, so that sealing never takes most of its time.
    return Math.min(everyMs, Math.max(gatherMs, 2 * (found.lookedAt - startedAt)));
  }

  async function roundOrBackOff(): Promise<number> {
    try {
      const pauseMs = await round();
      if (failures > 0) log.info("works again", { component: "sealer" });
      failures = 0;
      return pauseMs;
    } catch (error) {
      failures += 1;
      quiet.looked(false);
      const level = isAppError(error, "database_unavailable") ? "warn" : "error";
      if (failures === 1) log[level]("failed; trying again", { component: "sealer", err: error });
      return Math.min(failurePauseMsMax, everyMs * 2 ** Math.min(failures, 10));
    }
  }

  async function run(): Promise<void> {
    while (!isStopping) {
      const pauseMs = await roundOrBackOff();
      if (pauseMs > 0) await stopped.wait(pauseMs);
      const leftMs = quiet.lookEveryMs() - pauseMs;
      if (pauseMs > 0 && leftMs > 0) await nudged.wait(leftMs);
    }
  }

  return {
    start() {
      loop ??= run();
    },
    // A failure is told by the rounds of the sealer itself.
    catchUp: (timeoutMs) => sealing.catchUp(timeoutMs).catch(() => undefined),
    nudge: nudged.ring,
    stir: quiet.stir,
    onSealed: sealing.onSealed,
    async stop(timeoutMs) {
      isStopping = true;
      nudged.ring();
      stopped.ring();
      const patience = createBell();
      void loop?.then(patience.ring);
      if (loop) await patience.wait(timeoutMs);
    },
    get lagMs() {
      const { behindMs, lookedAt } = found;
      return behindMs === 0 && failures === 0 ? 0 : behindMs + performance.now() - lookedAt;
    },
  };
}
