import type { Outcome } from "./figure.ts";

/** What every measurement is given. */
export interface Bench {
  /** How often each contender has its turn, in the order A B A B. */
  rounds: number;
  /** A small version, to see that it works; its figures mean nothing. */
  isQuick: boolean;
  /** Adds what takes many minutes, such as a backlog of a million. */
  isLong: boolean;
  hasRelays: boolean;
  /** Folder of what `scripts/bench/run` unpacked: `postfix/`, `npm/`. */
  tools: string;
  say(text: string): void;
  /** `full` of it, or `quick` in a small version. */
  count(quick: number, full: number): number;
}

/** One or more rows of the table that share their set-up. */
export interface Measurement {
  name: string;
  what: string;
  run(bench: Bench): Promise<Outcome>;
}

/**
 * Turns as large as a round that every contender has before what counts: all are compiled while
 * they run, and ours accepts a mail with a quarter less of the processor after ten thousand.
 */
export const warmUps = 2;
