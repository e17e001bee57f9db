import { expect, test } from "bun:test";
import { cpus } from "node:os";
import { createCpuScarcity } from "./cpu-scarcity.ts";

/** A machine of two cores whose times the test moves on. */
function machine() {
  let at = 5_000;
  const times = { usedMs: 100, idleMs: 10_000, totalMs: 20_000 };
  const isScarce = createCpuScarcity({ now: () => at, read: () => ({ ...times }) });
  return {
    isScarce,
    /** In `ms`, this process used `own` of a core, and the machine's were idle for `idle` of it. */
    after(ms: number, own: number, idle: number) {
      at += ms;
      times.usedMs += own * ms;
      times.idleMs += idle * 2 * ms;
      times.totalMs += 2 * ms;
      return isScarce();
    },
  };
}

test("it is scarce when this process uses much of a core, or the machine has hardly any left", () => {
  const { isScarce, after } = machine();
  // Unknown.
  expect(isScarce()).toBe(true);
  // Too soon to compare: the last answer holds.
  expect(after(100, 0, 1)).toBe(true);
  expect(after(300, 0.2, 0.5)).toBe(false);
  expect(after(100, 1, 0)).toBe(false);
  expect(after(300, 1, 0.5)).toBe(true);
  expect(after(300, 0.05, 0.5)).toBe(false);
  // Starved by its neighbours, it uses little.
  expect(after(300, 0.05, 0.1)).toBe(true);
  expect(after(300, 0.29, 0.2)).toBe(false);
  // Nobody asked for a while.
  expect(after(1_500, 0, 1)).toBe(true);
});

test("a system that does not count its cores is judged by this process alone", () => {
  let at = 0;
  let usedMs = 0;
  const isScarce = createCpuScarcity({
    now: () => at,
    read: () => ({ usedMs, idleMs: 0, totalMs: 0 }),
  });
  isScarce();
  at += 300;
  expect(isScarce()).toBe(false);
  at += 300;
  usedMs += 200;
  expect(isScarce()).toBe(true);
});

test("this system counts its cores, and a process that computes finds time scarce", () => {
  expect(cpus().some(({ times }) => times.idle > 0)).toBe(true);
  const isScarce = createCpuScarcity();
  isScarce();
  const began = { at: performance.now(), user: process.cpuUsage().user };
  // By CPU time as well, so that a busy machine does not end it early.
  while (performance.now() - began.at < 300 || process.cpuUsage().user - began.user < 300_000) {
    if (performance.now() - began.at > 900) break;
  }
  expect(isScarce()).toBe(true);
});
