import { describe, expect, test } from "bun:test";
import { createByteSemaphore } from "./byte-semaphore.ts";

const never = new AbortController().signal;
const mebibyte = 1024 * 1024;
const create = (mebibytes = 100) => createByteSemaphore({ bytesMax: mebibytes * mebibyte });
const of = (mebibytes: number) => mebibytes * mebibyte;

describe("deliveries", () => {
  test("never hold more than all bytes, and are served first come, first served", async () => {
    const semaphore = create();
    const first = await semaphore.acquire(of(60), never);
    const order: string[] = [];
    const large = semaphore.acquire(of(90), never).then((giveBack) => {
      order.push("large");
      return giveBack;
    });
    const small = semaphore.acquire(of(3), never).then((giveBack) => {
      order.push("small");
      return giveBack;
    });
    expect(semaphore.inUse).toBe(of(60));
    first();
    const giveBacks = await Promise.all([large, small]);
    expect(order).toEqual(["large", "small"]);
    for (const giveBack of giveBacks) giveBack();
    expect(semaphore.inUse).toBe(0);
  });

  test("go on, one at least, whatever callers hold", async () => {
    const semaphore = create();
    for (let i = 0; i < 200; i++) semaphore.tryAcquire(of(5), { ownerId: `owner-${i % 20}` });
    expect(semaphore.inUse).toBe(of(75));
    const giveBack = await semaphore.acquire(of(40), never);
    giveBack();
    const quarter = [semaphore.acquire(of(10), never), semaphore.acquire(of(8), never)];
    for (const back of await Promise.all(quarter)) back();
  });

  test("of small messages go by large ones that wait for their turn", async () => {
    const semaphore = create();
    const first = await semaphore.acquire(of(90), never);
    const large = semaphore.acquire(of(90), never);
    const small = await semaphore.acquire(of(1), never);
    small();
    first();
    (await large)();
    expect(semaphore.inUse).toBe(0);
  });

  test("that wait are let go when aborted, and whoever stood behind is served", async () => {
    const semaphore = create();
    await semaphore.acquire(of(60), never);
    const stop = new AbortController();
    const large = semaphore.acquire(of(90), stop.signal);
    const small = semaphore.acquire(of(10), never);
    stop.abort(new Error("stopping"));
    expect(large).rejects.toThrow("stopping");
    await small;
    expect(semaphore.inUse).toBe(of(70));
    expect(semaphore.acquire(1, AbortSignal.abort(new Error("late")))).rejects.toThrow("late");
  });
});

describe("callers", () => {
  test("one owner holds a quarter, in however many requests; another still finds room", () => {
    const semaphore = create();
    const flood = { ownerId: "flood", use: "upload" } as const;
    let taken = 0;
    while (semaphore.tryAcquire(of(1), flood) !== null) taken += 1;
    expect(taken).toBe(25);
    expect(semaphore.tryAcquire(of(20), { ownerId: "other", use: "upload" })).not.toBeNull();
    expect(semaphore.tryAcquire(of(20), { ownerId: "other" })).not.toBeNull();
    expect(semaphore.hasRoom).toBe(true);
  });

  test("many owners leave room for small requests, and a quarter for deliveries", () => {
    const semaphore = create();
    for (let i = 0; i < 30; i++) semaphore.tryAcquire(of(5), { ownerId: `${i}` });
    expect(semaphore.tryAcquire(of(5), { ownerId: "late" })).toBeNull();
    expect(semaphore.hasRoom).toBe(true);
    while (semaphore.tryAcquire(of(1), { ownerId: `${Math.random()}` }) !== null);
    expect(semaphore.inUse).toBe(of(87));
    expect(semaphore.hasRoom).toBe(false);
  });

  test("uploads, which clients can stall, take half at most; the work goes on beside them", () => {
    const semaphore = create();
    for (let i = 0; i < 60; i++) semaphore.tryAcquire(of(1), { ownerId: `${i}`, use: "upload" });
    expect(semaphore.inUse).toBe(of(50));
    expect(semaphore.tryAcquire(of(25), { ownerId: "a" })).not.toBeNull();
  });

  test("a request larger than its share is let through when its owner has no other work", () => {
    const semaphore = create();
    semaphore.tryAcquire(of(20), { ownerId: "a", use: "upload" });
    const large = semaphore.tryAcquire(of(90), { ownerId: "a" });
    expect(large).not.toBeNull();
    expect(semaphore.tryAcquire(of(10), { ownerId: "a" })).toBeNull();
    // More for the same request: it must not wait for itself.
    expect(semaphore.tryAcquire(of(10), { ownerId: "a", ownBytes: of(90) })).not.toBeNull();
    large?.();
    expect(semaphore.tryAcquire(of(500), { ownerId: "b" })).toBeNull();
  });

  test("bytes count once when they are given back twice, and nothing is remembered of an owner", () => {
    const semaphore = create();
    const giveBack = semaphore.tryAcquire(of(20), { ownerId: "a" });
    semaphore.tryAcquire(of(20), { ownerId: "b" });
    giveBack?.();
    giveBack?.();
    expect(semaphore.inUse).toBe(of(20));
    expect(semaphore.tryAcquire(of(25), { ownerId: "a" })).not.toBeNull();
  });
});
