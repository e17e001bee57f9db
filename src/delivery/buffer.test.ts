import { describe, expect, test } from "bun:test";
import type { OpenedEmail } from "../content/encrypt-email.ts";
import type { ClaimedEmail } from "../store/attempts.ts";
import { type BufferOptions, createBuffer } from "./buffer.ts";

let serial = 0;

type Fields = Partial<ClaimedEmail & { isSuspect: boolean; isOneBlamed: boolean }>;

function emailOf(fields: Fields = {}) {
  const id = fields.id ?? `email-${++serial}`;
  const defaults = { ownerId: "ada", token: 1, dueInMs: 0, expiresInMs: null, recipients: [] };
  return { message: null, ...defaults, ...fields, id } as ClaimedEmail & Fields;
}

function bufferOf(options: Partial<BufferOptions> = {}) {
  const clock = { ms: 0 };
  const heard = { ready: 0, room: 0 };
  const ready = Promise.withResolvers<void>();
  const held = new Map<string, number>();
  const buffer = createBuffer({
    begunMax: 10,
    claimsInMemory: {
      keep({ id }) {
        held.set(id, (held.get(id) ?? 0) + 1);
        return () => void held.delete(id);
      },
    },
    onReady: () => {
      heard.ready += 1;
      ready.resolve();
    },
    onRoom: () => {
      heard.room += 1;
    },
    onLate: () => {},
    findRevoked: async () => [],
    now: () => clock.ms,
    ...options,
  });
  const put = (count: number, fields: Parameters<typeof emailOf>[0] = {}) => {
    const emails = Array.from({ length: count }, () => emailOf(fields));
    for (const email of emails) buffer.take(email);
    return emails.map(({ id }) => id);
  };
  const takeAll = () => {
    const taken = [];
    for (let next = buffer.next(); next; next = buffer.next()) taken.push(next);
    return taken;
  };
  return { buffer, held, clock, heard, ready: ready.promise, put, takeAll };
}

describe("turns", () => {
  test("owners take turns, each owner's emails in their order", () => {
    const { put, takeAll } = bufferOf();
    const [a1, a2, a3] = put(3);
    const [b1] = put(1, { ownerId: "bob" });
    expect(takeAll().map(({ email }) => email.id)).toEqual([a1, b1, a2, a3] as string[]);
  });

  test("what may be handed out before the next beat is told: what two such seconds could take", () => {
    const { buffer, clock, put, takeAll } = bufferOf({ begunMax: 1 });
    put(300);
    for (let n = 0; n < 30; n++) {
      const told = new Set(buffer.upcoming);
      const [email] = takeAll();
      expect(told).toContain(email?.email.id as string);
      if (email) buffer.finish(email, true);
    }
    expect(buffer.upcoming).toHaveLength(60);
    clock.ms += 3_000;
    expect(buffer.upcoming).toHaveLength(20);
    buffer.drain();
    expect(buffer.upcoming).toEqual([]);
  });

  test("what is past its time is not handed out, and is returned", () => {
    const { buffer, clock, put, takeAll } = bufferOf();
    const late = put(3, { expiresInMs: 2_000 });
    const [other] = put(1, { ownerId: "bob" });
    clock.ms += 2_001;
    expect(takeAll().map(({ email }) => email.id)).toEqual([other as string]);
    expect(buffer.takePast().map(({ id }) => id)).toEqual(late);
    expect(buffer.count).toBe(1);
  });

  test("no more are handed out than may have begun, and each that ends makes room for one", () => {
    const { buffer, put, takeAll } = bufferOf({ begunMax: 2 });
    put(5);
    const [first] = takeAll();
    expect(takeAll()).toEqual([]);
    if (first) buffer.finish(first, true);
    expect(takeAll().length).toBe(1);
  });

  test("an owner of many leaves a fifth of the places to the others", () => {
    const { put, takeAll } = bufferOf();
    put(21);
    const many = put(30);
    expect(takeAll().length).toBe(10);
    expect(many.length).toBe(30);
    const other = bufferOf();
    other.put(60);
    // The first twenty came as few.
    const begun = other.takeAll();
    for (const entry of begun) other.buffer.finish(entry, true);
    for (const entry of other.takeAll()) other.buffer.finish(entry, true);
    expect(other.takeAll().length).toBe(8);
    other.put(3, { ownerId: "bob" });
    expect(other.takeAll().map(({ email }) => email.ownerId)).toEqual(["bob", "bob"]);
  });

  test("an email that found no permit is the next one again", () => {
    const { buffer, put } = bufferOf();
    const [a1] = put(2);
    put(1, { ownerId: "bob" });
    const first = buffer.next();
    if (first) buffer.putBack(first);
    expect(buffer.next()?.email.id).toBe(a1 as string);
  });
});

describe("room", () => {
  test("one owner never fills it", () => {
    const { buffer, put } = bufferOf();
    const { perOwner, free } = buffer.room;
    expect(free).toBe(Math.floor(perOwner * 1.2));
    put(perOwner);
    expect(buffer.reserve({ ownerId: "ada", messageBytes: 1 })).toBeNull();
    expect(buffer.reserve({ ownerId: "bob", messageBytes: 1 })).not.toBeNull();
    expect(buffer.room.holds).toEqual({ ada: perOwner });
  });

  test("bytes bound it as well as the count, and large messages find none", () => {
    const { buffer, put } = bufferOf();
    expect(buffer.reserve({ ownerId: "ada", messageBytes: 65_537 })).toBeNull();
    put(2, { message: new Uint8Array(30 * 1024 * 1024) });
    expect(buffer.room.free).toBe(0);
  });

  test("a reservation is room that is taken, and back when it is given up", () => {
    const { buffer } = bufferOf();
    const { free } = buffer.room;
    const kept = buffer.reserve({ ownerId: "ada", messageBytes: 100 });
    expect(buffer.room.free).toBe(free - 1);
    kept?.forgo();
    expect(buffer.room.free).toBe(free);
    buffer.reserve({ ownerId: "ada", messageBytes: 100 })?.deliver(emailOf(), {} as OpenedEmail);
    expect([buffer.room.free, buffer.count]).toEqual([free - 1, 1]);
  });

  test("room for a batch is told once, and the last email's too", () => {
    const { buffer, heard, put, takeAll } = bufferOf();
    put(9);
    for (const entry of takeAll()) buffer.finish(entry, true);
    expect([heard.room, buffer.count]).toEqual([1, 0]);
  });
});

describe("moments", () => {
  test("an email is handed out at its time and not before", async () => {
    const { buffer, clock, ready, put } = bufferOf();
    const [id] = put(1, { dueInMs: 30 });
    expect(buffer.next()).toBeUndefined();
    clock.ms = 30;
    await ready;
    expect(buffer.next()?.email.id).toBe(id as string);
  });

  test("of a flood about to be due, what was revoked is taken out", async () => {
    const looked = Promise.withResolvers<void>();
    const { buffer, put } = bufferOf({
      findRevoked: async (claims) => {
        looked.resolve();
        return claims.slice(0, 24).map(({ id }) => id);
      },
    });
    put(25, { dueInMs: 300 });
    await looked.promise;
    await new Promise(setImmediate);
    expect(buffer.count).toBe(1);
  });

  test("a claim that was revoked in this process is gone at once, a begun one is not", () => {
    const { buffer, held, put } = bufferOf();
    const ids = put(3);
    const begun = buffer.next();
    const revoke = buffer.revoking([...ids, "not here"]);
    expect(revoke()).toBe(2);
    expect([...held.keys()]).toEqual([begun?.email.id ?? ""]);
    expect(buffer.next()).toBeUndefined();
    expect(revoke()).toBe(0);
  });

  test("a claim that is made while the change is answered stays, and so does what was not changed", () => {
    const { buffer, put, takeAll } = bufferOf();
    const [moved = "", kept = ""] = put(2);
    const revoke = buffer.revoking([moved, kept]);
    put(1, { id: moved, token: 2 });
    expect(revoke([moved])).toBe(0);
    const left = takeAll().map(({ email: { id, token } }) => [id, token]);
    expect(left).toEqual([
      [kept, 1],
      [moved, 2],
    ]);
  });

  test("what found no turn in ten seconds past its time is returned in order, begun ones stay", () => {
    const { buffer, clock, put } = bufferOf({ begunMax: 1 });
    const ids = put(3);
    const begun = buffer.next();
    clock.ms = 10_000;
    expect(buffer.takePast()).toEqual([]);
    clock.ms = 10_001;
    expect(buffer.takePast().map(({ id }) => id)).toEqual(ids.slice(1));
    expect(buffer.count).toBe(1);
    if (begun) buffer.finish(begun, true);
    expect(buffer.count).toBe(0);
  });
});

test("what is paused is taken out: an owner's emails, or all that has not begun", () => {
  const { buffer, put } = bufferOf();
  const ada = put(2);
  const bob = put(2, { ownerId: "bob" });
  buffer.next();
  const ids = (paused: Parameters<typeof buffer.takePaused>[0]) =>
    buffer.takePaused(paused).map(({ id }) => id);
  expect(ids({ isAll: false, owners: ["bob", "cy"] })).toEqual(bob);
  expect(ids({ isAll: true, owners: [] })).toEqual(ada.slice(1));
});

test("suspects are counted while they are in hand", () => {
  const { buffer, put } = bufferOf();
  put(2, { isSuspect: true });
  expect(buffer.suspects).toBe(2);
  for (let next = buffer.next(); next; next = buffer.next()) buffer.finish(next, true);
  expect(buffer.suspects).toBe(0);
});

test("one that is blamed for a single death is counted apart, and the next comes at its end", () => {
  const { buffer, put, heard } = bufferOf();
  put(1, { isSuspect: true, isOneBlamed: true });
  put(3, { isSuspect: true });
  put(1);
  expect([buffer.suspects, buffer.hasOneBlamed]).toEqual([3, true]);
  const blamed = buffer.next();
  if (blamed) buffer.finish(blamed, true);
  expect([buffer.suspects, buffer.hasOneBlamed, heard.room]).toEqual([3, false, 1]);
});

test("a claim that is answered after the drain is given back, too", () => {
  const late: unknown[] = [];
  const { buffer, held, put } = bufferOf({ onLate: (claim) => late.push(claim) });
  const reserved = buffer.reserve({ ownerId: "ada", messageBytes: 10 });
  buffer.drain();
  const [id] = put(1);
  const accepted = emailOf();
  reserved?.deliver(accepted, {} as OpenedEmail);
  expect(late).toEqual([
    { id, token: 1 },
    { id: accepted.id, token: 1 },
  ]);
  expect([buffer.count, buffer.next(), held.size]).toEqual([0, undefined, 0]);
});

test("a newer claim of an email takes the place of the former, which is counted no more", () => {
  const { buffer, put, takeAll } = bufferOf();
  const [id = ""] = put(1, { isSuspect: true, isOneBlamed: true, dueInMs: 1_000 });
  put(1, { id, token: 2 });
  expect([buffer.count, buffer.hasOneBlamed, buffer.suspects]).toEqual([1, false, 0]);
  expect(takeAll().map(({ email }) => email.token)).toEqual([2]);
  buffer.drain();
  expect(buffer.room.holds).toEqual({});
});

test("a drain gives back all that has not begun and takes in nothing more", () => {
  const { buffer, put } = bufferOf({ begunMax: 1 });
  const [begun] = put(2);
  const [later] = put(1, { dueInMs: 60_000 });
  buffer.next();
  const left = buffer.drain().map(({ id }) => id);
  expect(left).toContain(later as string);
  expect(left).not.toContain(begun as string);
  expect([left.length, buffer.room.free]).toEqual([2, 0]);
  expect(buffer.reserve({ ownerId: "bob", messageBytes: 1 })).toBeNull();
});
