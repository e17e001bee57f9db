import { afterEach, describe, expect, test } from "bun:test";
import type { Logger } from "../log.ts";
import { noFailPoints } from "../runtime/fail-points.ts";
import type { ClaimedEmail, DueBatch, DueRequest } from "../store/attempts.ts";
import { createBuffer } from "./buffer.ts";
import type { Buffered } from "./buffer-entry.ts";
import { createDispatcher, type Dispatcher } from "./dispatcher.ts";

const silent = { warn: () => {}, info: () => {}, error: () => {} } as unknown as Logger;
const nothing: DueBatch = {
  isPaused: false,
  pausedOwners: [],
  emails: [],
  hasMore: false,
  after: "",
  nextDueInMs: null,
};

let serial = 0;
const emailOf = (fields: Partial<ClaimedEmail> = {}) => ({
  ...({ ownerId: "ada", token: 1, dueInMs: 0, expiresInMs: null, recipients: [] } as object),
  ...({ message: null, ...fields, id: `email-${++serial}`, isSuspect: false } as object),
});

const running: Dispatcher[] = [];
afterEach(() => {
  for (const dispatcher of running.splice(0)) dispatcher.stop();
});

/** A dispatcher over a database of the test's; `answer` is what each claim is answered with. */
function dispatcherOf(answer: (asked: DueRequest, call: number) => DueBatch | Promise<DueBatch>) {
  const asked: DueRequest[] = [];
  const lost: number[] = [];
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  const state = { count: 1_000, aheadMs: 1_500, permits: Number.POSITIVE_INFINITY, isHeld: false };
  const buffer = createBuffer({
    begunMax: 10,
    claimsInMemory: { keep: () => () => {} },
    onReady: () => dispatcher.pump(),
    onRoom: () => dispatcher.wake(),
    onLate: () => {},
    findRevoked: async () => [],
  });
  const dispatcher: Dispatcher = createDispatcher<object>({
    attempts: {
      claimDue: async (request) => {
        asked.push(request);
        return await answer(request, asked.length);
      },
    },
    region: "local",
    buffer,
    permits: {
      get claimable() {
        return { count: state.count, aheadMs: state.aheadMs };
      },
      tryTake: () => (state.permits-- > 0 ? {} : null),
    },
    deliver: (email: Buffered) => {
      begun.push(email.email.id);
      if (!state.isHeld) return Promise.resolve(true);
      return new Promise((resolve) => ends.push(() => resolve(true)));
    },
    giveBack: async () => {},
    askForBatch: () => ({ end: () => {}, lose: () => lost.push(asked.length) }),
    onFull: () => {},
    failPoints: noFailPoints,
    log: silent,
  });
  running.push(dispatcher);
  return { dispatcher, buffer, asked, lost, begun, ends, state };
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await Bun.sleep(2);
}

describe("claims", () => {
  test("nothing due and nothing next is one call a second, not a spin", async () => {
    const { dispatcher, asked } = dispatcherOf(() => nothing);
    dispatcher.wake();
    await until(() => asked.length === 1);
    await Bun.sleep(300);
    expect(asked.length).toBe(1);
    expect(dispatcher.isCaughtUp).toBe(true);
    await until(() => asked.length === 2);
  });

  test("more that its owner may not hold is no reason to ask again at once", async () => {
    const { dispatcher, asked } = dispatcherOf(() => ({ ...nothing, hasMore: true }));
    dispatcher.wake();
    await until(() => asked.length === 1);
    await Bun.sleep(300);
    expect(asked.length).toBe(1);
    expect(dispatcher.isCaughtUp).toBe(false);
  });

  test("a flood takes at most one call for 20 emails", async () => {
    let left = 3_000;
    const { dispatcher, asked, begun } = dispatcherOf(({ limit }) => {
      const count = Math.min(left, limit);
      left -= count;
      return {
        ...nothing,
        emails: Array.from({ length: count }, () => emailOf()) as never,
        hasMore: left > 0,
      };
    });
    dispatcher.wake();
    await until(() => begun.length === 3_000);
    expect(asked.length).toBeLessThanOrEqual(3_000 / 20);
  });

  test("a steady hundred a second is claimed in parts, and not once a second", async () => {
    let claimedTo = performance.now();
    const sizes: number[] = [];
    const { dispatcher } = dispatcherOf(() => {
      const count = Math.floor((performance.now() - claimedTo) / 10);
      claimedTo += count * 10;
      sizes.push(count);
      return { ...nothing, emails: Array.from({ length: count }, () => emailOf()) as never };
    });
    dispatcher.wake();
    await until(() => sizes.length === 24);
    // Room that became free asks again at once, and finds nothing.
    const largest = sizes.slice(6).toSorted((a, b) => b - a);
    expect(largest[3]).toBeWithin(10, 60);
  });

  test("a thousand wakes while a claim is under way are one more claim", async () => {
    const gate = Promise.withResolvers<DueBatch>();
    const { dispatcher, asked } = dispatcherOf((_, call) => (call === 1 ? gate.promise : nothing));
    dispatcher.wake();
    await until(() => asked.length === 1);
    for (let n = 0; n < 1_000; n++) dispatcher.wake(n % 1_000);
    gate.resolve(nothing);
    await until(() => asked.length === 2);
    await Bun.sleep(100);
    expect(asked.length).toBe(2);
  });

  test("an answer that is lost is said, and the claim is asked for again", async () => {
    const { dispatcher, asked, lost } = dispatcherOf((_, call) => {
      if (call === 1) throw new Error("connection lost");
      return nothing;
    });
    dispatcher.wake();
    await until(() => asked.length === 2);
    expect(lost).toEqual([1]);
  });

  test("while nothing may be sent nothing is claimed; one probe when it is due, not ahead", async () => {
    const { dispatcher, asked, state } = dispatcherOf(() => nothing);
    state.count = 0;
    dispatcher.wake();
    await Bun.sleep(50);
    expect(asked.length).toBe(0);
    Object.assign(state, { count: 1, aheadMs: 0 });
    dispatcher.wake();
    await until(() => asked.length === 1);
    expect(asked[0]).toMatchObject({ limit: 1, aheadMs: 0 });
  });
});

describe("a pause", () => {
  test("is asked for once a second when nothing can be claimed, and what waits is returned", async () => {
    const { dispatcher, buffer, asked, state } = dispatcherOf(() => ({
      ...nothing,
      isPaused: true,
    }));
    Object.assign(state, { count: 0, permits: 0 });
    buffer.take(emailOf() as never);
    for (let n = 0; n < 50; n++) dispatcher.wake();
    await until(() => asked.length === 1);
    expect(asked[0]).toMatchObject({ limit: 0, suspects: false });
    await until(() => buffer.count === 0);
    for (let n = 0; n < 50; n++) dispatcher.wake();
    await Bun.sleep(50);
    expect(asked.length).toBe(1);
  });
});

describe("begins", () => {
  test("without a permit an email waits, and begins when there is one", async () => {
    const { dispatcher, begun, state } = dispatcherOf((_, call) =>
      call === 1 ? { ...nothing, emails: [emailOf(), emailOf()] as never } : nothing,
    );
    state.permits = 1;
    dispatcher.wake();
    await until(() => begun.length === 1);
    expect(begun.length).toBe(1);
    state.permits = 1;
    dispatcher.pump();
    await until(() => begun.length === 2);
  });

  test("once stopped nothing begins and nothing is claimed", async () => {
    const { dispatcher, buffer, begun, asked } = dispatcherOf(() => nothing);
    dispatcher.stop();
    buffer.take(emailOf() as never);
    dispatcher.wake();
    await Bun.sleep(30);
    expect([begun.length, asked.length]).toEqual([0, 0]);
  });
});
