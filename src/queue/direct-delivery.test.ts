import { describe, expect, test } from "bun:test";
import type { ClaimedEmail } from "../store/attempts.ts";
import { aheadMax, createDirectDelivery, type DirectDelivery } from "./direct-delivery.ts";
import type { OpenedEmail } from "./encrypt-email.ts";
import { createHoldings } from "./holdings.ts";

const opened = {} as OpenedEmail;

/** A courier that notes what it is given and is done when the test says so. */
function directOfTest({
  runningMax = 1,
  behindMax = null as number | null,
  isFit = true,
  now = (): number => 0,
} = {}) {
  const given: {
    id: string;
    heldMs: number;
    isBehind: boolean;
    isPast: () => boolean;
    done: (isAttempted?: boolean) => void;
  }[] = [];
  const first = Promise.withResolvers<void>();
  const lost: string[] = [];
  const state = { isFit };
  const holdings = createHoldings();
  const direct = createDirectDelivery({
    holdings,
    runningMax,
    behindMax: behindMax ?? runningMax,
    isFit: () => state.isFit,
    now,
  });
  direct.open({
    deliver: (held) => {
      const { id } = held.email;
      const { isBehind } = held.standing;
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const done = (isAttempted = true) => resolve(isAttempted);
      given.push({ id, heldMs: held.heldMs(), isBehind, isPast: () => held.isPast(), done });
      first.resolve();
      return promise;
    },
    findLost: async (held) => new Set(held.map(({ id }) => id).filter((id) => lost.includes(id))),
  });
  const place = (ownerId: string, messageBytes = 1_000) =>
    direct.reserve({ ownerId, messageBytes });
  const send = (ownerId: string, id: string) =>
    place(ownerId)?.deliver({ id, dueInMs: 0, expiresInMs: null } as ClaimedEmail, opened);
  const { promise: firstGiven } = first;
  return { direct, given, firstGiven, holdings, lost, state, place, send };
}

/** One that was claimed so long before its time. */
const ahead = (id: string, dueInMs: number, fields: Partial<ClaimedEmail> = {}) =>
  ({
    ...{ id, ownerId: "ada", message: null, recipients: [], expiresInMs: null },
    ...fields,
    dueInMs,
  }) as unknown as ClaimedEmail;

describe("what was claimed before its time", () => {
  test("is delivered at it, in turns and so many at a time", async () => {
    const clock = { ms: 0 };
    const { direct, given, firstGiven, holdings } = directOfTest({ now: () => clock.ms });
    const until = performance.now() + 60;
    for (const id of ["a1", "a2", "a3"]) direct.holdUntilDue(ahead(id, 60));
    direct.holdUntilDue(ahead("b1", 60, { ownerId: "bob" }));
    expect(direct.held).toBe(4);
    clock.ms = 61;
    await firstGiven;
    expect(performance.now()).toBeGreaterThanOrEqual(until);
    for (const index of [0, 1, 2]) {
      given[index]?.done();
      await turn();
    }
    expect(given.map(({ id }) => id)).toEqual(["a1", "b1", "a2", "a3"]);
    expect(given[0]?.heldMs).toBe(61);
    expect(holdings.count).toBe(1);
    given[3]?.done();
    await turn();
    expect([direct.held, holdings.count]).toEqual([0, 0]);
  });

  test("is to go back when its turn is long in coming, or too late for it", async () => {
    const clock = { ms: 0 };
    const { given, direct, firstGiven } = directOfTest({ runningMax: 9, now: () => clock.ms });
    direct.holdUntilDue(ahead("long", 1));
    direct.holdUntilDue(ahead("soon", 1, { expiresInMs: 2_001 }));
    clock.ms = 1;
    await firstGiven;
    const pastAt = (ms: number) => {
      clock.ms = ms;
      return given.filter(({ isPast }) => isPast()).map(({ id }) => id);
    };
    expect([pastAt(2_001), pastAt(2_002)]).toEqual([[], ["soon"]]);
    expect([pastAt(10_001), pastAt(10_002)]).toEqual([["soon"], ["long", "soon"]]);
  });

  /** As much as one may be held now, before it was known how fast it sends. */
  const leastRoom = 8;

  function roomOf(direct: DirectDelivery): number {
    let count = 0;
    for (; direct.hasRoomAhead; count++) direct.holdUntilDue(ahead(`r${count}`, 60_000));
    return count;
  }

  test("says nothing of how fast we send when it is not attempted", async () => {
    const { direct, given, firstGiven } = directOfTest();
    for (let n = 0; n < 100; n++) direct.holdUntilDue(ahead(`a${n}`, 0));
    await firstGiven;
    for (let n = 0; n < 100; n++) {
      given[n]?.done(false);
      await turn();
    }
    expect([given.length, direct.held]).toEqual([100, 0]);
    expect(roomOf(direct)).toBe(leastRoom);
    direct.close();
  });

  test("is held less of once it had to go back, however fast we were before", async () => {
    const clock = { ms: 0 };
    const { direct, given, firstGiven } = directOfTest({ now: () => clock.ms });
    for (let n = 0; n < 100; n++) direct.countDelivered();
    clock.ms = 60_000;
    direct.holdUntilDue(ahead("a", 0));
    await firstGiven;
    clock.ms = 80_000;
    given[0]?.done(false);
    await turn();
    expect(roomOf(direct)).toBe(leastRoom);
    direct.close();
  });

  test("has no turn when it was lost meanwhile", async () => {
    const { direct, given, firstGiven, lost } = directOfTest();
    for (const id of ["a1", "a2", "a3"]) direct.holdUntilDue(ahead(id, 300));
    lost.push("a1", "a3");
    await firstGiven;
    expect(direct.held).toBe(2);
    given[0]?.done();
    await turn();
    expect([given.map(({ id }) => id), direct.held]).toEqual([["a2"], 0]);
  });

  test("leaves places to what is not behind a flood, also of its own owner", async () => {
    const { direct, given, firstGiven, send } = directOfTest({ runningMax: 5, behindMax: 4 });
    for (let n = 0; n < 30; n++) direct.holdUntilDue(ahead(`a${n}`, 0));
    await firstGiven;
    send("bob", "b1");
    send("ada", "a-code");
    await turn();
    const ids = () => given.map(({ id }) => id);
    expect(ids()).toEqual(["a0", "a1", "a2", "a3", "b1"]);
    given[4]?.done();
    await turn();
    expect(ids().slice(5)).toEqual(["a-code"]);
    given[0]?.done();
    await turn();
    expect(ids().slice(6)).toEqual(["a4"]);
  });

  test("is given back at once when we stop, and also when it comes after that", async () => {
    const { direct, given } = directOfTest({ runningMax: 1 });
    for (const id of ["a1", "a2"]) direct.holdUntilDue(ahead(id, 60_000));
    direct.close();
    expect(given.map(({ id }) => id)).toEqual(["a1", "a2"]);
    direct.holdUntilDue(ahead("a3", 60_000));
    expect(given.map(({ id }) => id)).toEqual(["a1", "a2", "a3"]);
    expect(direct.hasRoomAhead).toBe(false);
  });

  test("finds room while there is some, in emails and in bytes, and all is well", () => {
    const { direct, state } = directOfTest();
    expect(direct.hasRoomAhead).toBe(true);
    state.isFit = false;
    expect(direct.hasRoomAhead).toBe(false);
    state.isFit = true;
    const hold = (many: number) => {
      for (let n = 0; n < many; n++) direct.holdUntilDue(ahead(`a${n}`, 60_000));
      return direct.hasRoomAhead;
    };
    // Nothing is known of how fast it sends; then as many as it sent in five busy seconds; or all.
    expect([hold(7), hold(1)]).toEqual([true, false]);
    for (let n = 0; n < 100; n++) direct.countDelivered();
    expect([hold(491), hold(1)]).toEqual([true, false]);
    for (let n = 0; n < aheadMax; n++) direct.countDelivered();
    expect([hold(aheadMax - 501), hold(1)]).toEqual([true, false]);
    direct.close();
    const wide = directOfTest().direct;
    const large = [
      { message: new Uint8Array(16 * 1024 * 1024) },
      { recipients: [{ position: 0, address: "a".repeat(16 * 1024 * 1024) }] },
    ];
    for (const [n, fields] of large.entries()) {
      expect(wide.hasRoomAhead).toBe(true);
      wide.holdUntilDue(ahead(`a${n}`, 60_000, fields));
    }
    expect(wide.hasRoomAhead).toBe(false);
    wide.close();
    expect(
      createDirectDelivery({
        runningMax: 1,
        behindMax: 1,
        isFit: () => true,
        holdings: createHoldings(),
      }).hasRoomAhead,
    ).toBe(false);
  });
});

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("a place", () => {
  test("is there once a worker is, for what is small, while all is well", () => {
    const { direct, place, state } = directOfTest();
    expect(place("ada")).not.toBeNull();
    expect(place("ada", 65_537)).toBeNull();
    state.isFit = false;
    expect(place("ada")).toBeNull();
    state.isFit = true;
    direct.close();
    expect(place("ada")).toBeNull();
    const alone = createDirectDelivery({
      runningMax: 1,
      behindMax: 1,
      isFit: () => true,
      holdings: createHoldings(),
    });
    expect(alone.reserve({ ownerId: "ada", messageBytes: 1 })).toBeNull();
  });

  test("is one of so many, of so many bytes, and comes back when it is given up", () => {
    const { direct, place } = directOfTest({ runningMax: 30 });
    const places = Array.from({ length: 240 }, () => place("ada"));
    expect(places).not.toContain(null);
    expect(place("bob")).toBeNull();
    for (const one of places) one?.forgo();
    expect(direct.held).toBe(0);
    const wide = directOfTest({ runningMax: 200 });
    const large = Array.from({ length: 600 }, () => wide.place("ada", 65_536));
    expect(large.filter((one) => one !== null)).toHaveLength(512);
  });

  test("is one of as many as are delivered in two busy seconds", async () => {
    const clock = { ms: 500 };
    const { direct, given, send, place } = directOfTest({ runningMax: 10, now: () => clock.ms });
    for (let n = 0; n < 100; n++) {
      send("ada", `a${n}`);
      await turn();
      given.at(-1)?.done();
      await turn();
    }
    const free = () => {
      const places = Array.from({ length: 1_000 }, () => place("bob"));
      for (const one of places) one?.forgo();
      return places.filter((one) => one !== null).length;
    };
    expect(free()).toBe(200);
    for (let n = 0; n < 100; n++) direct.countDelivered();
    expect(free()).toBe(400);
    clock.ms = 30_000;
    direct.countDelivered();
    expect(free()).toBe(400);
    clock.ms = 90_000;
    direct.countDelivered();
    expect(free()).toBe(80);
  });

  test("comes back when its email is delivered, which is held until then", async () => {
    const { direct, given, holdings, send } = directOfTest();
    send("ada", "one");
    await turn();
    expect([direct.held, holdings.count]).toEqual([1, 1]);
    given[0]?.done();
    await turn();
    expect([direct.held, holdings.count]).toEqual([0, 0]);
  });
});

describe("turns", () => {
  test("are taken by the owners one after the other, so many at a time", async () => {
    const { given, send } = directOfTest({ runningMax: 2 });
    for (const id of ["a1", "a2", "a3", "a4"]) send("ada", id);
    send("bob", "b1");
    await turn();
    const seen = ["a1", "b1"];
    expect(given.map(({ id }) => id)).toEqual(seen);
    for (const next of ["a2", "a3", "a4"]) {
      given[seen.length - 2]?.done();
      await turn();
      seen.push(next);
      expect(given.map(({ id }) => id)).toEqual(seen);
    }
  });

  test("of a flood stand behind it, those of others do not", async () => {
    const { direct, given, send } = directOfTest({ runningMax: 10 });
    for (let n = 0; n < 25; n++) send("ada", `a${n}`);
    send("bob", "b");
    direct.close();
    await turn();
    const behind = given.filter(({ isBehind }) => isBehind).map(({ id }) => id);
    expect(behind).toEqual(["a20", "a21", "a22", "a23", "a24"]);
  });

  test("come at once when all is closed, so that everybody can be given back", async () => {
    const { direct, given, send } = directOfTest();
    for (const id of ["one", "two", "three"]) send("ada", id);
    // Whoever accepted them is told first.
    expect(given).toHaveLength(0);
    await turn();
    expect(given).toHaveLength(1);
    direct.close();
    expect(given).toHaveLength(3);
  });
});
