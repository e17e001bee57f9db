import { describe, expect, test } from "bun:test";
import { createLogger } from "../../log.ts";
import type { TransportFault } from "../../mail/transport-fault.ts";
import { type Breaker, createBreaker, type Pass } from "./breaker.ts";

const unreachable: TransportFault = {
  reason: "unreachable",
  smtpCode: null,
  said: null,
  pauseMs: null,
};
const loginRefused: TransportFault = {
  reason: "auth",
  smtpCode: 535,
  said: "535 5.7.8 at AUTH: bad credentials",
  pauseMs: 30_000,
};
const log = createLogger({ level: "silent" });

/** A first wait of 10 ms, unless said otherwise. */
function breakerOf({ minuteMs = 1, concurrencyMax = 100, hasOthers = true } = {}) {
  const transport = "smtp.example.net:25";
  return createBreaker({ concurrencyMax, minuteMs, transport, hasOthers: () => hasOthers, log });
}

/** Waits until the breaker lets another one through, as the dispatcher does. */
async function enter(breaker: Breaker): Promise<Pass> {
  for (;;) {
    const { promise, resolve } = Promise.withResolvers<void>();
    breaker.onChange = resolve;
    const pass = breaker.tryEnter();
    if (pass) return pass;
    await promise;
  }
}

/** Takes whatever is let through from now on, up to `count`. */
function crowd(breaker: Breaker, count: number) {
  const through: Pass[] = [];
  const first = Promise.withResolvers<Pass>();
  breaker.onChange = () => {
    while (through.length < count) {
      const pass = breaker.tryEnter();
      if (!pass) return;
      through.push(pass);
      first.resolve(pass);
    }
  };
  breaker.onChange();
  return { through, first: first.promise };
}

test("a closed breaker lets everybody through at once", async () => {
  const breaker = breakerOf();
  expect([breaker.tryEnter(), breaker.tryEnter(), breaker.isOpenWide]).not.toContain(null);
  expect(breaker.snapshot()).toEqual({
    state: "closed",
    reason: null,
    smtpCode: null,
    said: null,
    openedAt: null,
    nextProbeInMs: null,
    workedMsAgo: null,
    nextProbeAt: null,
    failures: 0,
    opened: 0,
    limit: 100,
  });
});

test("one failure opens it, and the snapshot says why and until when", async () => {
  const breaker = breakerOf({ minuteMs: 60_000 });
  (await enter(breaker)).leave(loginRefused);
  const { openedAt, nextProbeInMs, ...rest } = breaker.snapshot();
  expect(rest).toMatchObject({
    state: "open",
    reason: "auth",
    smtpCode: 535,
    said: "535 5.7.8 at AUTH: bad credentials",
    failures: 1,
    opened: 1,
  });
  expect(openedAt).toBeInstanceOf(Date);
  expect(nextProbeInMs ?? 0).toBeGreaterThan(29_000);
});

test("one goes ahead as a probe; its success lets two through, then four", async () => {
  const breaker = breakerOf();
  (await enter(breaker)).leave(unreachable);
  const { first, through } = crowd(breaker, 10);
  const probe = await first;
  expect([through.length, breaker.snapshot().state]).toEqual([1, "half_open"]);
  probe.leave("works");
  expect([through.length, breaker.snapshot().state]).toEqual([3, "closed"]);
  for (const pass of through.slice(1)) pass.leave("works");
  expect(through.length).toBe(7);
  for (const pass of through.slice(3)) pass.leave("works");
  expect(through.length).toBe(10);
});

test("a probe that somebody asks for waits for nothing", async () => {
  const breaker = breakerOf({ minuteMs: 60_000 });
  breaker.probeNow();
  expect(breaker.snapshot().state).toBe("closed");
  (await enter(breaker)).leave(loginRefused);
  const { first } = crowd(breaker, 1);
  expect(breaker.snapshot().nextProbeInMs ?? 0).toBeGreaterThan(29_000);
  breaker.probeNow();
  const probe = await first;
  expect([probe.isProbe, breaker.snapshot().nextProbeInMs]).toEqual([true, 0]);
  // One is under way: a second one would be a storm.
  breaker.probeNow();
  expect(breaker.tryEnter()).toBeNull();
  probe.leave("works");
  expect(breaker.snapshot()).toMatchObject({ state: "closed", nextProbeAt: null });
});

test("every failed probe doubles the wait, up to thirty times the first", async () => {
  const breaker = breakerOf({ minuteMs: 60_000 });
  const waits: number[] = [];
  const fault = { ...unreachable };
  (await enter(breaker)).leave(fault);
  waits.push(breaker.snapshot().nextProbeInMs ?? 0);
  expect(waits[0]).toBeWithin(900, 1_001);
  const quick = breakerOf();
  for (let i = 0; i < 7; i++) {
    (await enter(quick)).leave(unreachable);
    waits.push(quick.snapshot().nextProbeInMs ?? 0);
  }
  const expected = [10, 20, 40, 80, 160, 300, 300];
  for (const [i, wait] of waits.slice(1).entries()) {
    // More than the one before it, though a slow machine has let some of it pass.
    expect(wait).toBeWithin((expected[i] ?? 0) / 2, (expected[i] ?? 0) + 1);
  }
  expect(quick.snapshot()).toMatchObject({ failures: 7, opened: 1 });
});

test("a conversation that was under way when it opened neither closes it nor counts again", async () => {
  const breaker = breakerOf({ minuteMs: 60_000 });
  const early = await enter(breaker);
  const late = await enter(breaker);
  const failing = await enter(breaker);
  failing.leave(unreachable);
  expect(early.isCurrent).toBe(false);
  early.leave("works");
  late.leave(unreachable);
  expect(breaker.snapshot()).toMatchObject({ state: "open", failures: 1, opened: 1 });
});

test("a probe that showed nothing lets the next one try at once", async () => {
  const breaker = breakerOf();
  (await enter(breaker)).leave(unreachable);
  const first = await enter(breaker);
  expect(breaker.tryEnter()).toBeNull();
  first.leave("nothing");
  await enter(breaker);
  expect(breaker.snapshot().state).toBe("half_open");
});

test("a failure during the slow start opens it again", async () => {
  const breaker = breakerOf();
  (await enter(breaker)).leave(unreachable);
  (await enter(breaker)).leave("works");
  (await enter(breaker)).leave(unreachable);
  expect(breaker.snapshot()).toMatchObject({ state: "open", failures: 1, opened: 2 });
});

test("the wait for a person, too, has the scale of the retry schedule", async () => {
  const breaker = breakerOf({ minuteMs: 600 });
  (await enter(breaker)).leave(loginRefused);
  const { nextProbeInMs } = breaker.snapshot();
  expect(nextProbeInMs ?? 0).toBeGreaterThan(250);
  expect(nextProbeInMs ?? 0).toBeLessThanOrEqual(300);
});

describe("a probe", () => {
  const one = { emailId: "1", sender: "a@example.com" };

  test("is neither the email nor the sender of the failed one while another waits", async () => {
    for (const again of [
      one,
      { emailId: "2", sender: one.sender },
      { ...one, sender: "b@x.test" },
    ]) {
      const breaker = breakerOf();
      (await enter(breaker)).identify({ emailId: "0", sender: "other@example.com" });
      const first = await enter(breaker);
      expect(first.identify(one)).toBeNull();
      first.leave(unreachable);
      const probe = await enter(breaker);
      expect(probe.isProbe).toBe(true);
      expect(probe.identify(again)).toBeGreaterThan(0);
      probe.leave("nothing");
      const other = await enter(breaker);
      expect(other.identify({ emailId: "3", sender: "c@example.com" })).toBeNull();
      other.leave("works");
      expect(breaker.snapshot().state).toBe("closed");
    }
  });

  test("may be of the same sender where there is no other", async () => {
    const breaker = breakerOf();
    const first = await enter(breaker);
    first.identify(one);
    first.leave(unreachable);
    const probe = await enter(breaker);
    expect(probe.identify({ ...one, emailId: "2" })).toBeNull();
  });

  test("may be the same again when nobody else waits", async () => {
    const breaker = breakerOf({ hasOthers: false });
    const first = await enter(breaker);
    first.identify(one);
    first.leave(unreachable);
    expect((await enter(breaker)).identify(one)).toBeNull();
  });

  test("is the same again when so many of one sender wait that nobody else is found", async () => {
    const breaker = breakerOf();
    const first = await enter(breaker);
    first.identify(one);
    first.leave(unreachable);
    let probe = await enter(breaker);
    let turnedAway = 0;
    while (probe.identify(one) !== null) {
      turnedAway += 1;
      probe.leave("nothing");
      probe = await enter(breaker);
    }
    expect(turnedAway).toBe(50);
  });
});
