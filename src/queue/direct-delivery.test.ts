import { describe, expect, test } from "bun:test";
import type { ClaimedEmail } from "../store/attempts.ts";
import { aheadMax, createDirectDelivery } from "./direct-delivery.ts";
import type { OpenedEmail } from "./encrypt-email.ts";

const opened = {} as OpenedEmail;

/** A courier that notes what it is given and is done when the test says so. */
function directOfTest({ runningMax = 1, isFit = true, now = (): number => 0 } = {}) {
  const given: { id: string; ageMs: number; isBehind: boolean; done: () => void }[] = [];
  const first = Promise.withResolvers<void>();
  const recovered: string[] = [];
  const returned: string[] = [];
  const state = { isFit };
  const direct = createDirectDelivery({ runningMax, isFit: () => state.isFit, now });
  direct.open({
    deliver: ({ id, ageMs }, _, { isBehind }) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      given.push({ id, ageMs, isBehind, done: resolve });
      first.resolve();
      return promise;
    },
    giveBack: async ({ id }) => {
      returned.push(id);
    },
    recover: async (id) => {
      recovered.push(id);
    },
  });
  const place = (ownerId: string, messageBytes = 1_000) =>
    direct.reserve({ ownerId, messageBytes });
  const send = (ownerId: string, id: string) =>
    place(ownerId)?.deliver({ id } as ClaimedEmail, opened);
  const { promise: firstGiven } = first;
  return { direct, given, firstGiven, recovered, returned, state, place, send };
}

/** One that was claimed so long before its time. */
const ahead = (id: string, dueInMs: number, fields: Partial<ClaimedEmail> = {}) =>
  ({ id, ownerId: "ada", ageMs: -dueInMs, message: null, ...fields, dueInMs }) as ClaimedEmail;

describe("what was claimed before its time", () => {
  test("is delivered at it, in turns and so many at a time, and as old as it is then", async () => {
    const clock = { ms: 0 };
    const { direct, given, firstGiven } = directOfTest({ now: () => clock.ms });
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
    expect(given[0]?.ageMs).toBe(1);
    given[3]?.done();
    await turn();
    expect(direct.held).toBe(0);
  });

  test("goes back to the queue when its turn is long in coming", async () => {
    const clock = { ms: 0 };
    const { direct, given, returned, firstGiven } = directOfTest({ now: () => clock.ms });
    for (const id of ["a1", "a2", "a3", "a4"]) direct.holdUntilDue(ahead(id, 1));
    await firstGiven;
    clock.ms = 10_001;
    given[0]?.done();
    await turn();
    expect([given.map(({ id }) => id), returned]).toEqual([["a1", "a2"], []]);
    clock.ms = 10_002;
    given[1]?.done();
    await turn();
    expect(returned).toEqual(["a3", "a4"]);
    expect(direct.held).toBe(0);
  });

  test("says nothing of how fast we send when it only goes back", async () => {
    const { direct, given, state, firstGiven } = directOfTest({ runningMax: 1 });
    state.isFit = false;
    for (let n = 0; n < 100; n++) direct.holdUntilDue(ahead(`a${n}`, 0));
    await firstGiven;
    for (let n = 0; n < 100; n++) {
      given[n]?.done();
      await turn();
    }
    expect([given.length, direct.held]).toEqual([100, 0]);
    state.isFit = true;
    for (let n = 0; n < 8; n++) direct.holdUntilDue(ahead(`b${n}`, 60_000));
    expect(direct.hasRoomAhead).toBe(false);
    direct.close();
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
    const message = new Uint8Array(4 * 1024 * 1024);
    for (let n = 0; n < 8; n++) wide.holdUntilDue(ahead(`a${n}`, 60_000, { message }));
    expect(wide.hasRoomAhead).toBe(false);
    wide.close();
    expect(createDirectDelivery({ runningMax: 1, isFit: () => true }).hasRoomAhead).toBe(false);
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
    const alone = createDirectDelivery({ runningMax: 1, isFit: () => true });
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

  test("comes back when its email is delivered, or was recovered", async () => {
    const { direct, given, recovered, send, place } = directOfTest();
    send("ada", "one");
    place("ada")?.recover("two");
    await turn();
    given[0]?.done();
    await turn();
    expect([direct.held, recovered]).toEqual([0, ["two"]]);
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
