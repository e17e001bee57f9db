import { expect, test } from "bun:test";
import { aheadMs, createReadyTimes, leadMs, putOffMsMax } from "./ready-times.ts";

const noon = Date.UTC(2030, 0, 2, 12);
const flood = { dueAt: noon, isBehind: true };

test("a job becomes ready a little before its time", () => {
  const times = createReadyTimes();
  for (let n = 0; n < 1_000; n++) {
    expect(times.leadOf({ dueAt: noon, isBehind: false })).toBe(leadMs);
  }
});

test("a flood becomes ready from its moment on, little by little; others' mail as ever", () => {
  const times = createReadyTimes();
  const leads = Array.from({ length: 700_000 }, () => times.leadOf(flood));
  expect(leads.filter((lead) => lead > 0).length).toBe(10);
  expect(leads.every((lead) => lead > -putOffMsMax)).toBe(true);
  const counts = new Map<number, number>();
  const most = (some: number[]) => {
    for (const lead of some) if (lead <= 0) counts.set(lead, (counts.get(lead) ?? 0) + 1);
    return Math.max(...counts.values());
  };
  expect(most(leads.slice(0, 300_000))).toBeLessThanOrEqual(6);
  // More at once, but never all.
  expect(most(leads.slice(300_000))).toBeLessThanOrEqual(18);
  expect(times.leadOf({ ...flood, isBehind: false })).toBe(leadMs);
  expect(times.leadOf({ ...flood, dueAt: noon + 1_000 })).toBe(leadMs);
});

test("of a flood as many as workers hold become ready seconds before it, little by little", () => {
  const times = createReadyTimes({ aheadMax: 1_000 });
  const leads = Array.from({ length: 1_100 }, () => times.leadOf(flood));
  const early = leads.filter((lead) => lead > leadMs);
  expect(early).toHaveLength(1_000);
  expect(early[0]).toBe(aheadMs);
  expect(early.at(-1)).toBe(aheadMs - 199);
  expect(leads.filter((lead) => lead === leadMs)).toHaveLength(10);
  expect(leads.filter((lead) => lead <= 0)).toHaveLength(90);
  // What they hold they hold for whoever is due within seconds.
  const soon = Array.from({ length: 20 }, () => times.leadOf({ ...flood, dueAt: noon + 1_000 }));
  expect(Math.max(...soon)).toBe(leadMs);
  const later = Array.from({ length: 20 }, () => times.leadOf({ ...flood, dueAt: noon + 6_000 }));
  expect(Math.max(...later)).toBe(aheadMs);
  times.forgetPast(noon + 5_000);
  const again = Array.from({ length: 20 }, () => times.leadOf(flood));
  expect(Math.max(...again)).toBe(aheadMs);
});

test("a steady stream, however much of it there is, keeps its lead", () => {
  const times = createReadyTimes();
  for (let n = 0; n < 3_000; n++) {
    expect(times.leadOf({ dueAt: noon + n * 2, isBehind: true })).toBe(leadMs);
  }
});

test("a moment that is past is forgotten, one that is to come is not", () => {
  const times = createReadyTimes();
  for (let n = 0; n < 1_000; n++) times.leadOf(flood);
  times.forgetPast(noon - 1_000);
  expect(times.leadOf(flood)).toBeLessThan(0);
  times.forgetPast(noon + 1_000);
  expect(times.leadOf(flood)).toBe(leadMs);
});
