import { expect, test } from "bun:test";
import {
  cpuMs,
  familyCpuMs,
  parseCpuMs,
  parseResidentMb,
  residentMb,
  sumFamilyCpuMs,
} from "./process-usage.ts";

test("user and system time are added, whatever the program is called", () => {
  const stat = "42 (a ) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 7 9 20 0 12 0 99 1 2";
  expect(parseCpuMs(stat)).toBe(3_000);
  expect(() => parseCpuMs("42 (bun) S")).toThrow("not a line of");
});

test("resident memory is in millions of bytes", () => {
  expect(parseResidentMb("Name:\tbun\nVmRSS:\t  100000 kB\nRssAnon:\t 1 kB\n")).toBeCloseTo(102.4);
  expect(() => parseResidentMb("Name:\tbun\n")).toThrow("no VmRSS");
});

test("a process that works uses time, and has memory", () => {
  const before = cpuMs(process.pid);
  const used = process.cpuUsage();
  while (process.cpuUsage(used).user < 50_000) JSON.stringify({ before });
  expect(cpuMs(process.pid)).toBeGreaterThan(before);
  expect(residentMb(process.pid)).toBeGreaterThan(1);
});

/** A line of /proc/<pid>/stat; times in ticks of 10 ms. */
function statOf(pid: number, parent: number, own: number, waitedFor = 0): string {
  return `${pid} (smtpd) S ${parent} 42 42 0 -1 4194560 100 0 0 0 ${own} 1 ${waitedFor} 2 20 0 1 0`;
}

test("a family's time is that of its living and of its dead, and of no stranger", () => {
  const stats = [
    statOf(1, 0, 500, 900),
    statOf(42, 1, 10, 100),
    statOf(43, 42, 20),
    statOf(44, 43, 30),
    statOf(420, 1, 7_000),
  ];
  expect(sumFamilyCpuMs(stats, 42)).toBe((10 + 100 + 20 + 30 + 3 * 3) * 10);
  expect(() => sumFamilyCpuMs(stats, 41)).toThrow("no process 41");
});

test("the time of a child that ended stays in the family", () => {
  const before = familyCpuMs(process.pid);
  const worked = Bun.spawnSync(["sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"]);
  expect(worked.success).toBe(true);
  expect(familyCpuMs(process.pid) - before).toBeGreaterThanOrEqual(20);
});
