import { expect, test } from "bun:test";
import { createRefusedSenders } from "./refused-senders.ts";

function refusedSenders() {
  let now = 0;
  const senders = createRefusedSenders({ minuteMs: 60_000, now: () => now, sendersMax: 3 });
  const pass = (ms: number): void => {
    now += ms;
  };
  return { senders, pass };
}

test("a sender who was never refused goes ahead, as do all others", () => {
  const { senders } = refusedSenders();
  expect(senders.refuse("a@x.test")).toBe(30_000);
  expect([senders.enter("b@x.test"), senders.enter("b@x.test")]).toEqual([0, 0]);
});

test("one at a time is the probe; the others wait", () => {
  const { senders, pass } = refusedSenders();
  senders.refuse("a@x.test");
  pass(10_000);
  expect(senders.enter("a@x.test")).toBe(20_000);
  pass(20_000);
  expect(senders.enter("a@x.test")).toBe(0);
  expect(senders.enter("a@x.test")).toBe(30_000);
});

test("waits double up to ten minutes; those under way when it was refused change nothing", () => {
  const { senders, pass } = refusedSenders();
  const waits: number[] = [];
  for (let i = 0; i < 7; i++) {
    const waitMs = senders.refuse("a@x.test");
    expect(senders.refuse("a@x.test")).toBe(waitMs);
    waits.push(waitMs / 1_000);
    pass(waitMs);
  }
  expect(waits).toEqual([30, 60, 120, 240, 480, 600, 600]);
});

test("a probe without an answer makes room for another; an accepted one for all", () => {
  const { senders, pass } = refusedSenders();
  senders.refuse("a@x.test");
  pass(30_000);
  senders.enter("a@x.test");
  senders.leave("a@x.test");
  expect(senders.enter("a@x.test")).toBe(0);
  senders.accept("a@x.test");
  expect([senders.enter("a@x.test"), senders.enter("a@x.test")]).toEqual([0, 0]);
});

test("those refused longest ago are forgotten", () => {
  const { senders } = refusedSenders();
  for (const name of ["a", "b", "c", "d"]) senders.refuse(name);
  expect(["a", "b"].map((name) => senders.enter(name))).toEqual([0, 30_000]);
});
