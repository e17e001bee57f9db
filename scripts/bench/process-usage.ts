import { readdirSync, readFileSync } from "node:fs";

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

/**
 * The same of a process and all its descendants, those that ended included: whoever waited for
 * them has their time.
 */
export function familyCpuMs(pid: number): number {
  const stats = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => {
      try {
        return readFileSync(`/proc/${name}/stat`, "utf8");
      } catch {
        // It ended in between.
        return "";
      }
    });
  return sumFamilyCpuMs(stats.filter(Boolean), pid);
}

/** `cutime` and `cstime`, the 16th and 17th field, are those of children that were waited for. */
export function sumFamilyCpuMs(stats: string[], pid: number): number {
  const members = stats.map((stat) => {
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const waitedForMs = (Number(fields[13]) + Number(fields[14])) * tickMs;
    return {
      pid: Number.parseInt(stat, 10),
      parent: Number(fields[1]),
      ms: parseCpuMs(stat) + waitedForMs,
    };
  });
  const family = (first: number): number =>
    members.reduce((sum, member) => {
      if (member.pid === first) return sum + member.ms;
      return member.parent === first ? sum + family(member.pid) : sum;
    }, 0);
  if (!members.some((member) => member.pid === pid)) throw new Error(`no process ${pid}`);
  return family(pid);
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
