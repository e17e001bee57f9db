import { expect, test } from "bun:test";
import { cpuMs, parseCpuMs, parseResidentMb, residentMb } from "./process-usage.ts";

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
