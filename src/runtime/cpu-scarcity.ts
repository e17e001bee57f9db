import { cpus } from "node:os";

/** CPU times so far, in ms: what this process used, and of all cores together. */
export interface CpuTimes {
  usedMs: number;
  idleMs: number;
  totalMs: number;
}

export interface CpuScarcityOptions {
  /** Default: as the system counts them. */
  read?: () => CpuTimes;
  /** A steady clock in ms; a test gives its own. */
  now?: () => number;
}

/** Times are compared over at least this long, and the answer holds until the next comparison. */
const compareMs = 250;
/** Asked less often than this, it begins anew: an average over a long time says nothing of now. */
const forgetAfterMs = 1_000;
/** A third of a core: what one thread adds from there on is missed by the rest of its work. */
const usedFrom = 0.3;
const idleBelow = 0.15;

/**
 * Whether computing time is short: this process used 0.3 of a core in the last quarter of a second, or
 * the machine's cores were idle for less than 15 % of it (a database beside us, say, needs them, and
 * then this process gets few). Measured when asked, and costs nothing otherwise; true until known.
 */
export function createCpuScarcity({ read = readTimes, now }: CpuScarcityOptions = {}) {
  const clock = now ?? performance.now.bind(performance);
  let isScarce = true;
  let before: CpuTimes & { at: number } = {
    ...{ at: Number.NEGATIVE_INFINITY, usedMs: 0, idleMs: 0, totalMs: 0 },
  };
  return (): boolean => {
    const at = clock();
    const elapsedMs = at - before.at;
    if (elapsedMs < compareMs) return isScarce;
    const times = read();
    const share = (times.usedMs - before.usedMs) / elapsedMs;
    const ofAll = times.totalMs - before.totalMs;
    // Where the system does not count its cores, all of them count as idle.
    const idle = ofAll > 0 ? (times.idleMs - before.idleMs) / ofAll : 1;
    isScarce = elapsedMs > forgetAfterMs || share >= usedFrom || idle < idleBelow;
    before = { ...times, at };
    return isScarce;
  };
}

function readTimes(): CpuTimes {
  const { user, system } = process.cpuUsage();
  let idleMs = 0;
  let totalMs = 0;
  for (const { times } of cpus()) {
    idleMs += times.idle;
    totalMs += times.user + times.nice + times.sys + times.idle + times.irq;
  }
  return { usedMs: (user + system) / 1_000, idleMs, totalMs };
}
