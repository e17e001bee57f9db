import { expect, test } from "bun:test";
import { createRateLimit } from "./rate-limit.ts";

const never = new AbortController().signal;

/** Slots as the database gives them, `gapMs` apart; counts those taken. */
function localSlots(gapMs: number, isShared = false) {
  let nextAt = 0;
  const slots = {
    taken: 0,
    async reserve() {
      slots.taken += 1;
      const now = performance.now();
      const at = Math.max(nextAt, now);
      nextAt = at + gapMs;
      return { waitMs: Math.ceil(at - now), isShared };
    },
  };
  return slots;
}

test("no more are admitted than will get a slot soon", async () => {
  const rateLimit = createRateLimit({ ratePerSecond: 10, slots: localSlots(100) });
  let admitted = 0;
  const all = Array.from({ length: 100 }, async () => {
    const admission = await rateLimit.admit(never);
    admitted += 1;
    return admission;
  });
  await Promise.race(all);
  await new Promise((resolve) => setImmediate(resolve));
  // Two seconds' worth of slots, and the one that fills the last of it.
  expect(admitted).toBeWithin(20, 22);
});

test("of a very slow limit one is admitted at a time", async () => {
  const rateLimit = createRateLimit({ ratePerSecond: 0.05, slots: localSlots(20_000) });
  const first = await rateLimit.admit(never);
  await first.awaitSlot(never);
  let isSecondIn = false;
  const second = rateLimit.admit(never).then(() => {
    isSecondIn = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(isSecondIn).toBe(false);
  first.end();
  await second;
});

test("an email that was not claimed takes no slot, and makes room for the next", async () => {
  const slots = localSlots(1_000);
  const rateLimit = createRateLimit({ ratePerSecond: 1, slots });
  for (let i = 0; i < 50; i++) (await rateLimit.admit(never)).end();
  expect(slots.taken).toBe(0);
});

test("hand-overs are no denser than the limit", async () => {
  const rateLimit = createRateLimit({ ratePerSecond: 20, slots: localSlots(50) });
  const times: number[] = [];
  const send = async (): Promise<void> => {
    const admission = await rateLimit.admit(never);
    await admission.awaitSlot(never);
    await admission.approach(never);
    await admission.handOver(never);
    times.push(performance.now());
    admission.end();
  };
  await Promise.all(Array.from({ length: 45 }, send));
  expect((times[40] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(1_990);
});

test("a slot that was missed is given up where others may be sending, and only there", async () => {
  for (const [isShared, taken] of [
    [true, 2],
    [false, 1],
  ] as const) {
    const slots = localSlots(100, isShared);
    // One in ten seconds tolerates 0.4 s.
    const admission = await createRateLimit({ ratePerSecond: 0.1, slots }).admit(never);
    await admission.awaitSlot(never);
    await admission.approach(never);
    await Bun.sleep(500);
    await admission.handOver(never);
    admission.end();
    expect(slots.taken).toBe(taken);
  }
});

test("a slot that was nearly met is kept", async () => {
  const slots = localSlots(100, true);
  const admission = await createRateLimit({ ratePerSecond: 0.1, slots }).admit(never);
  await admission.awaitSlot(never);
  await admission.approach(never);
  await admission.handOver(never);
  admission.end();
  expect(slots.taken).toBe(1);
});

test("a stop signal ends every wait, and what waited gives its room back", async () => {
  const rateLimit = createRateLimit({ ratePerSecond: 0.25, slots: localSlots(4_000) });
  const stop = new AbortController();
  const first = await rateLimit.admit(never);
  await first.awaitSlot(never);
  const second = await rateLimit.admit(stop.signal);
  const slot = second.awaitSlot(stop.signal);
  const third = rateLimit.admit(stop.signal);
  const ended = Promise.allSettled([slot, third]);
  stop.abort(new Error("draining"));
  expect((await ended).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  second.end();
  first.end();
  await rateLimit.admit(never);
});
