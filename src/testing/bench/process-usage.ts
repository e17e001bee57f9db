import { readFileSync } from "node:fs";

/** Linux counts a process's time in ticks of this many milliseconds (`getconf CLK_TCK` is 100). */
const tickMs = 10;

/** User and system time of a process and its threads so far, in milliseconds. */
export function cpuMs(pid: number): number {
  return parseCpuMs(readFileSync(`/proc/${pid}/stat`, "utf8"));
}

/** The name in parentheses may hold blanks; utime and stime are the 14th and 15th field. */
export function parseCpuMs(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = Number(fields[11]) + Number(fields[12]);
  if (!Number.isFinite(ticks)) throw new Error(`not a line of /proc/<pid>/stat: ${stat}`);
  return ticks * tickMs;
}

/** Resident memory of a process in MB (10^6 bytes), the pages of its program file included. */
export function residentMb(pid: number): number {
  return parseResidentMb(readFileSync(`/proc/${pid}/status`, "utf8"));
}

export function parseResidentMb(status: string): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kib === undefined) throw new Error("no VmRSS in /proc/<pid>/status");
  return (Number(kib) * 1_024) / 1_000_000;
}

/** Samples resident memory until `stop`, which returns the highest. */
export function watchMemory(pid: number): { stop(): number } {
  let peakMb = residentMb(pid);
  const timer = setInterval(() => {
    peakMb = Math.max(peakMb, residentMb(pid));
  }, 100);
  return {
    stop() {
      clearInterval(timer);
      return Math.max(peakMb, residentMb(pid));
    },
  };
}
