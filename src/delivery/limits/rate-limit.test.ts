import { expect, test } from "bun:test";
import { type Admission, createRateLimit, type RateLimit } from "./rate-limit.ts";

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

/** Waits for room, as the dispatcher does. */
async function admit(rateLimit: RateLimit): Promise<Admission> {
  for (;;) {
    const { promise, resolve } = Promise.withResolvers<void>();
    rateLimit.onRoom = resolve;
    const admission = rateLimit.tryAdmit();
    if (admission) return admission;
    await promise;
  }
}

test("no more are admitted than will get a slot soon", () => {
  const rateLimit = createRateLimit({ ratePerSecond: 10, slots: localSlots(100) });
  let admitted = 0;
  while (rateLimit.tryAdmit()) admitted += 1;
  // Two seconds' worth of slots, and the one that fills the last of it.
  expect(admitted).toBeWithin(20, 22);
});

test("room is told once there is some", async () => {
  const rateLimit = createRateLimit({ ratePerSecond: 10, slots: localSlots(100) });
  const admissions: Admission[] = [];
  for (let next = rateLimit.tryAdmit(); next; next = rateLimit.tryAdmit()) admissions.push(next);
  const told = Promise.withResolvers<void>();
  rateLimit.onRoom = told.resolve;
  for (const admission of admissions) admission.end();
  await told.promise;
  expect(rateLimit.tryAdmit()).not.toBeNull();
});

test("of a very slow limit one is admitted at a time", async () => {
  const rateLimit = createRateLimit({ ratePerSecond: 0.05, slots: localSlots(20_000) });
  const first = await admit(rateLimit);
  await first.awaitSlot(never);
  expect(rateLimit.tryAdmit()).toBeNull();
  first.end();
  await admit(rateLimit);
});

test("an email that was not claimed takes no slot, and makes room for the next", async () => {
  const slots = localSlots(1_000);
  const rateLimit = createRateLimit({ ratePerSecond: 1, slots });
  for (let i = 0; i < 50; i++) (await admit(rateLimit)).end();
  expect(slots.taken).toBe(0);
});

test("hand-overs are no denser than the limit", async () => {
  const rateLimit = createRateLimit({ ratePerSecond: 20, slots: localSlots(50) });
  const times: number[] = [];
  const send = async (admission: Admission): Promise<void> => {
    await admission.awaitSlot(never);
    await admission.approach(never);
    await admission.handOver(never);
    times.push(performance.now());
    admission.end();
  };
  const sending: Promise<void>[] = [];
  while (sending.length < 45) sending.push(send(await admit(rateLimit)));
  await Promise.all(sending);
  expect((times[40] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(1_990);
});

test("a slot that was missed is given up where others may be sending, and only there", async () => {
  for (const [isShared, taken] of [
    [true, 2],
    [false, 1],
  ] as const) {
    const slots = localSlots(100, isShared);
    // One in ten seconds tolerates 0.4 s.
    const admission = await admit(createRateLimit({ ratePerSecond: 0.1, slots }));
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
  const admission = await admit(createRateLimit({ ratePerSecond: 0.1, slots }));
  await admission.awaitSlot(never);
  await admission.approach(never);
  await admission.handOver(never);
  admission.end();
  expect(slots.taken).toBe(1);
});

test("a stop signal ends every wait, and what waited gives its room back", async () => {
  const rateLimit = createRateLimit({ ratePerSecond: 0.25, slots: localSlots(4_000) });
  const stop = new AbortController();
  const first = await admit(rateLimit);
  await first.awaitSlot(never);
  const slot = Promise.allSettled([first.approach(stop.signal), first.awaitSlot(stop.signal)]);
  stop.abort(new Error("draining"));
  expect((await slot).map(({ status }) => status)).toContain("rejected");
  first.end();
  await admit(rateLimit);
});
