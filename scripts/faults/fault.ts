import type { World, WorldOptions } from "./world.ts";

export type Scale = "small" | "full";

/** A bound in milliseconds; one for each scale where the size of the backlog decides it. */
export type LimitMs = number | Record<Scale, number>;

/** One fault: what is done to the product while it works. What must hold is the oracle's part. */
export interface Fault {
  /** Kebab-case; its row in the table. */
  name: string;
  /** One sentence: what is done, and to how many. */
  what: string;
  /** How many emails at each scale; the small one runs in every CI run. */
  mails: Record<Scale, number>;
  /** Left out of the small run: its waiting takes minutes at any scale. */
  isLongOnly?: boolean;
  parts?: WorldOptions;
  /** Beyond the invariants; a figure above its limit fails the run. */
  limits: {
    /**
     * Of every fault: lateness beyond times of harm (outages, waits the retry schedule asks for)
     * at p99; the latest email may take three times as long.
     */
    latenessP99Ms: LimitMs;
    /** The same, of the emails of `world.others` alone. */
    othersLatenessP99Ms?: LimitMs;
    recoveryP99Ms?: number;
    /** From the end of an outage to the first email it had held up. */
    resumesMs?: number;
    acceptP99Ms?: number;
    uncertain?: number;
  };
  /**
   * Why the product cannot keep its promises under this fault yet: `one way out` when the issue of
   * that name mends it. The fault is run, judged and listed with this mark, and fails no run; once
   * everything is kept, the run says that the mark can go. Default: it has to be kept.
   */
  notYet?: string;
  /**
   * Starts processes, loads emails and does harm; resolves when the harm is over. Rest is then
   * waited for, and judged, by the runner.
   */
  run(world: World): Promise<void>;
}

export function defineFault(fault: Fault): Fault {
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(fault.name)) {
    throw new Error(`a fault's name is kebab-case, not ${JSON.stringify(fault.name)}`);
  }
  return fault;
}
