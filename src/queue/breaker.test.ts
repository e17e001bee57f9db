import { describe, expect, test } from "bun:test";
import { createLogger } from "../log.ts";
import type { TransportFault } from "../mail/transport-fault.ts";
import { createBreaker, type Pass } from "./breaker.ts";

const never = new AbortController().signal;
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
function breakerOf({ minuteMs = 1, concurrencyMax = 100 } = {}) {
  return createBreaker({ concurrencyMax, minuteMs, transport: "smtp.example.net:25", log });
}

/** Lets `count` wait and says who has come through so far. */
function crowd(breaker: ReturnType<typeof breakerOf>, count: number) {
  const through: Pass[] = [];
  const entered = Array.from({ length: count }, () =>
    breaker.enter(never).then((pass) => {
      through.push(pass);
      return pass;
    }),
  );
  return { through, first: Promise.race(entered), all: Promise.all(entered) };
}

/** All that is due has run by then: grants are made in one turn of the loop. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("a closed breaker lets everybody through at once", async () => {
  const breaker = breakerOf();
  await Promise.all([breaker.enter(never), breaker.enter(never)]);
  expect(breaker.snapshot()).toEqual({
    state: "closed",
    reason: null,
    smtpCode: null,
    said: null,
    openedAt: null,
    nextProbeInMs: null,
    failures: 0,
    opened: 0,
    waiting: 0,
    limit: 100,
  });
});

test("one failure opens it, and the snapshot says why and until when", async () => {
  const breaker = breakerOf({ minuteMs: 60_000 });
  (await breaker.enter(never)).leave(loginRefused);
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
  (await breaker.enter(never)).leave(unreachable);
  const { first, through, all } = crowd(breaker, 10);
  const probe = await first;
  await settled();
  expect([through.length, breaker.snapshot().state]).toEqual([1, "half_open"]);
  probe.leave("works");
  await settled();
  expect([through.length, breaker.snapshot().state]).toEqual([3, "closed"]);
  for (const pass of through.slice(1)) pass.leave("works");
  await settled();
  expect(through.length).toBe(7);
  for (const pass of through.slice(3)) pass.leave("works");
  await all;
});

test("every failed probe doubles the wait, up to thirty times the first", async () => {
  const breaker = breakerOf({ minuteMs: 60_000 });
  const waits: number[] = [];
  const fault = { ...unreachable };
  (await breaker.enter(never)).leave(fault);
  waits.push(breaker.snapshot().nextProbeInMs ?? 0);
  expect(waits[0]).toBeWithin(900, 1_001);
  const quick = breakerOf();
  for (let i = 0; i < 7; i++) {
    (await quick.enter(never)).leave(unreachable);
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
  const [early, late, failing] = await Promise.all([
    breaker.enter(never),
    breaker.enter(never),
    breaker.enter(never),
  ]);
  failing.leave(unreachable);
  expect(early.isCurrent).toBe(false);
  early.leave("works");
  late.leave(unreachable);
  expect(breaker.snapshot()).toMatchObject({ state: "open", failures: 1, opened: 1 });
});

test("a probe that showed nothing lets the next one try at once", async () => {
  const breaker = breakerOf();
  (await breaker.enter(never)).leave(unreachable);
  const first = await breaker.enter(never);
  const second = breaker.enter(never);
  first.leave("nothing");
  await second;
  expect(breaker.snapshot().state).toBe("half_open");
});

test("a failure during the slow start opens it again", async () => {
  const breaker = breakerOf();
  (await breaker.enter(never)).leave(unreachable);
  (await breaker.enter(never)).leave("works");
  (await breaker.enter(never)).leave(unreachable);
  expect(breaker.snapshot()).toMatchObject({ state: "open", failures: 1, opened: 2 });
});

test("a stop signal ends the wait of everybody, and leaves nothing behind", async () => {
  const breaker = breakerOf({ minuteMs: 60_000 });
  (await breaker.enter(never)).leave(unreachable);
  const stop = new AbortController();
  const waiting = [1, 2, 3].map(() => breaker.enter(stop.signal));
  expect(breaker.snapshot().waiting).toBe(3);
  stop.abort(new Error("draining"));
  const ended = await Promise.allSettled(waiting);
  expect(ended.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
  expect(breaker.snapshot().waiting).toBe(0);
});

test("the wait for a person, too, has the scale of the retry schedule", async () => {
  const breaker = breakerOf({ minuteMs: 600 });
  (await breaker.enter(never)).leave(loginRefused);
  const { nextProbeInMs } = breaker.snapshot();
  expect(nextProbeInMs ?? 0).toBeGreaterThan(250);
  expect(nextProbeInMs ?? 0).toBeLessThanOrEqual(300);
});

describe("a probe", () => {
  const one = { emailId: "1", sender: "a@example.com" };

  /** Opens it, and gives the next passage once another email waits behind it. */
  async function probeBesideAnother(breaker: ReturnType<typeof breakerOf>) {
    const probe = await breaker.enter(never);
    const next = breaker.enter(never);
    return { probe, next };
  }

  test("is neither the email nor the sender of the failed one while another waits", async () => {
    for (const again of [
      one,
      { emailId: "2", sender: one.sender },
      { ...one, sender: "b@x.test" },
    ]) {
      const breaker = breakerOf();
      (await breaker.enter(never)).identify({ emailId: "0", sender: "other@example.com" });
      const first = await breaker.enter(never);
      expect(first.identify(one)).toBeNull();
      first.leave(unreachable);
      const { probe, next } = await probeBesideAnother(breaker);
      expect(probe.isProbe).toBe(true);
      expect(probe.identify(again)).toBeGreaterThan(0);
      probe.leave("nothing");
      const other = await next;
      expect(other.identify({ emailId: "3", sender: "c@example.com" })).toBeNull();
      other.leave("works");
      expect(breaker.snapshot().state).toBe("closed");
    }
  });

  test("may be of the same sender where there is no other", async () => {
    const breaker = breakerOf();
    const first = await breaker.enter(never);
    first.identify(one);
    first.leave(unreachable);
    const { probe } = await probeBesideAnother(breaker);
    expect(probe.identify({ ...one, emailId: "2" })).toBeNull();
  });

  test("may be the same again when nobody else waits", async () => {
    const breaker = breakerOf();
    const first = await breaker.enter(never);
    first.identify(one);
    first.leave(unreachable);
    expect((await breaker.enter(never)).identify(one)).toBeNull();
  });

  test("is the same again when so many of one sender wait that nobody else is found", async () => {
    const breaker = breakerOf();
    const first = await breaker.enter(never);
    first.identify(one);
    first.leave(unreachable);
    let { probe, next } = await probeBesideAnother(breaker);
    let turnedAway = 0;
    while (probe.identify(one) !== null) {
      turnedAway += 1;
      probe.leave("nothing");
      probe = await next;
      next = breaker.enter(never);
    }
    expect(turnedAway).toBe(50);
  });
});
