import type { Logger } from "../log.ts";

/** Compares this process's clock with others', and warns when they differ. */
export interface ClockSkew {
  /** `ask` resolves to the other clock's time; null: there is none. Rejects as `ask` does. */
  measure(name: ClockName, ask: () => Promise<Date | null>): Promise<void>;
  /** How far we are ahead (positive) or behind; null: not known. */
  readonly skewMs: Record<ClockName, number | null>;
  readonly isSkewed: boolean;
  /** The time by the database's clock; by ours while it was never heard. */
  now(): Date;
}

export type ClockName = "database" | "redis";

export interface ClockSkewDeps {
  log: Logger;
  /** This machine's clock in ms, as BullMQ reads it; a test gives its own. */
  wallClock?: () => number;
}

const skewMsMax = 2_000;

export function createClockSkew({ log, wallClock = Date.now }: ClockSkewDeps): ClockSkew {
  const skewMs: ClockSkew["skewMs"] = { database: null, redis: null };
  const skewed = new Set<ClockName>();

  function judge(name: ClockName, ms: number, uncertainMs: number): void {
    const rounded = { component: name, skew_ms: Math.round(ms), limit_ms: skewMsMax };
    if (Math.abs(ms) - uncertainMs > skewMsMax && !skewed.has(name)) {
      skewed.add(name);
      log.warn("this machine's clock is off; nothing is sent early, but set it", rounded);
    } else if (Math.abs(ms) + uncertainMs <= skewMsMax && skewed.delete(name)) {
      log.info("this machine's clock is right again", rounded);
    }
  }

  return {
    async measure(name, ask) {
      const askedAt = performance.now();
      const other = await ask();
      const tookMs = performance.now() - askedAt;
      if (other === null) {
        skewMs[name] = null;
        return;
      }
      // The other clock was read somewhere between question and answer: half way, if we must say.
      skewMs[name] = wallClock() - tookMs / 2 - other.getTime();
      judge(name, skewMs[name], tookMs / 2);
    },
    skewMs,
    get isSkewed() {
      return skewed.size > 0;
    },
    now: () => new Date(wallClock() - (skewMs.database ?? 0)),
  };
}
