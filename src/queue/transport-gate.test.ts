import { expect, test } from "bun:test";
import { createTransportGate } from "./transport-gate.ts";

const never = new AbortController().signal;

test("an open gate lets everybody through at once", async () => {
  const gate = createTransportGate();
  await Promise.all([gate.enter(never), gate.enter(never)]);
  expect(gate.isOpen).toBe(true);
});

test("after a pause one goes ahead, and its success opens the gate", async () => {
  const gate = createTransportGate();
  gate.pause(20);
  let through = 0;
  const entered = [1, 2, 3].map(() =>
    gate.enter(never).then((pass) => {
      through += 1;
      return pass;
    }),
  );
  const probe = await Promise.race(entered);
  expect(through).toBe(1);
  expect(gate.isOpen).toBe(false);
  probe.leave("works");
  await Promise.all(entered);
  expect(gate.isOpen).toBe(true);
});

test("a probe that showed nothing lets the next one try", async () => {
  const gate = createTransportGate();
  gate.pause(1);
  const first = await gate.enter(never);
  const second = gate.enter(never);
  first.leave("nothing");
  await second;
  expect(gate.isOpen).toBe(false);
});

test("it is unreached from a conversation without a reply until the next one with a reply", async () => {
  const gate = createTransportGate();
  (await gate.enter(never)).leave("unreachable");
  expect([gate.isReached, gate.isOpen]).toEqual([false, true]);
  (await gate.enter(never)).leave("nothing");
  expect(gate.isReached).toBe(false);
  (await gate.enter(never)).leave("works");
  expect(gate.isReached).toBe(true);
});

test("a stop signal ends the wait", async () => {
  const gate = createTransportGate();
  gate.pause(60_000);
  const stop = new AbortController();
  const waiting = gate.enter(stop.signal);
  stop.abort(new Error("draining"));
  await expect(waiting).rejects.toThrow("draining");
});
