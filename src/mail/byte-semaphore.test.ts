import { describe, expect, test } from "bun:test";
import { createByteSemaphore } from "./byte-semaphore.ts";

const never = new AbortController().signal;

describe("the byte semaphore", () => {
  test("never holds more than its bytes, and serves first come, first served", async () => {
    const semaphore = createByteSemaphore({ bytesMax: 100 });
    const first = await semaphore.acquire(60, never);
    const order: string[] = [];
    const large = semaphore.acquire(90, never).then((giveBack) => {
      order.push("large");
      return giveBack;
    });
    const small = semaphore.acquire(10, never).then((giveBack) => {
      order.push("small");
      return giveBack;
    });
    expect(semaphore.inUse).toBe(60);
    // Ten bytes would fit, but not past those who wait.
    expect(semaphore.tryAcquire(10)).toBeNull();
    first();
    const giveBacks = await Promise.all([large, small]);
    expect(order).toEqual(["large", "small"]);
    expect(semaphore.inUse).toBe(100);
    for (const giveBack of giveBacks) giveBack();
    expect(semaphore.inUse).toBe(0);
  });

  test("lets nobody wait for what is his own", () => {
    const semaphore = createByteSemaphore({ bytesMax: 100 });
    semaphore.tryAcquire(60);
    expect(semaphore.tryAcquire(60)).toBeNull();
    const more = semaphore.tryAcquire(60, 60);
    expect(semaphore.inUse).toBe(120);
    more?.();
    semaphore.tryAcquire(10);
    // Somebody else is there as well.
    expect(semaphore.tryAcquire(60, 60)).toBeNull();
  });

  test("lets a request larger than itself through, alone", async () => {
    const semaphore = createByteSemaphore({ bytesMax: 100 });
    const giveBack = semaphore.tryAcquire(500);
    expect(giveBack).not.toBeNull();
    expect(semaphore.tryAcquire(1)).toBeNull();
    giveBack?.();
    expect(semaphore.tryAcquire(1)).not.toBeNull();
    expect(semaphore.tryAcquire(500)).toBeNull();
  });

  test("counts a double return once", () => {
    const semaphore = createByteSemaphore({ bytesMax: 100 });
    const giveBack = semaphore.tryAcquire(40);
    semaphore.tryAcquire(40);
    giveBack?.();
    giveBack?.();
    expect(semaphore.inUse).toBe(40);
  });

  test("lets a waiter go when it is aborted, and serves whoever stood behind it", async () => {
    const semaphore = createByteSemaphore({ bytesMax: 100 });
    semaphore.tryAcquire(60);
    const stop = new AbortController();
    const large = semaphore.acquire(90, stop.signal);
    const small = semaphore.acquire(10, never);
    stop.abort(new Error("stopping"));
    expect(large).rejects.toThrow("stopping");
    await small;
    expect(semaphore.inUse).toBe(70);
    expect(semaphore.acquire(1, AbortSignal.abort(new Error("late")))).rejects.toThrow("late");
  });
});
