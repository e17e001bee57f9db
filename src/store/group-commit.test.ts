import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { AppError } from "../errors.ts";
import { contendedError, isContended, unansweredError, unavailableError } from "./call-error.ts";
import { contended } from "./contended-items.ts";
import { type BatchCall, createGroupCommit } from "./group-commit.ts";

/** A `send` whose flights land only when the test says so. */
function controlledSend() {
  const flights: { items: number[]; land: () => void; crash: (error: unknown) => void }[] = [];
  const send = (items: number[]) => {
    const { promise, resolve, reject } = Promise.withResolvers<string[]>();
    flights.push({ items, land: () => resolve(items.map(String)), crash: reject });
    return promise;
  };
  return { send, flights };
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

describe("coalescing", () => {
  test("calls of the same turn travel in one send, and each gets its own result", async () => {
    const { send, flights } = controlledSend();
    const group = createGroupCommit({ send });
    const results = Promise.all([1, 2, 3].map((n) => group.add(n)));
    await nextTurn();
    expect(flights.map(({ items }) => items)).toEqual([[1, 2, 3]]);
    flights[0]?.land();
    expect(await results).toEqual(["1", "2", "3"]);
  });

  test("a lone call leaves with the next turn, not after the delay", async () => {
    const { send, flights } = controlledSend();
    const group = createGroupCommit({ send, patienceMs: 60_000 });
    const result = group.add(7);
    await nextTurn();
    expect(flights).toHaveLength(1);
    flights[0]?.land();
    expect(await result).toBe("7");
  });

  test("while all flights are under way calls gather, and leave together when one lands", async () => {
    const { send, flights } = controlledSend();
    const group = createGroupCommit({ send, callsMax: 1, patienceMs: 0 });
    const results = [group.add(0)];
    await nextTurn();
    for (let n = 1; n <= 50; n++) {
      results.push(group.add(n));
      if (n % 10 === 0) await nextTurn();
    }
    expect(flights).toHaveLength(1);
    flights[0]?.land();
    await results[0];
    await nextTurn();
    expect(flights[1]?.items).toHaveLength(50);
    flights[1]?.land();
    await Promise.all(results);
  });

  test("a batch that is full does not wait out the delay", async () => {
    const { send, flights } = controlledSend();
    const group = createGroupCommit({ send, itemsMax: 3, patienceMs: 60_000 });
    const results = [group.add(0)];
    await nextTurn();
    results.push(group.add(1), group.add(2));
    await nextTurn();
    expect(flights).toHaveLength(1);
    results.push(group.add(3));
    await nextTurn();
    expect(flights[1]?.items).toEqual([1, 2, 3]);
    for (const { land } of flights) land();
    await Promise.all(results);
  });

  test("a flight that is stuck holds nobody up for longer than the patience", async () => {
    const { send, flights } = controlledSend();
    const group = createGroupCommit({ send, patienceMs: 5 });
    const stuck = group.add(0);
    await nextTurn();
    const next = group.add(1);
    while (flights.length < 2) await nextTurn();
    flights[1]?.land();
    expect(await next).toBe("1");
    flights[0]?.land();
    expect(await stuck).toBe("0");
  });

  test("who waited behind a flight gathers company after it; a lone call never does", async () => {
    const { send, flights } = controlledSend();
    const group = createGroupCommit({ send, gatherMs: 30, patienceMs: 60_000 });
    const first = group.add(0);
    await nextTurn();
    const results = [group.add(1)];
    flights[0]?.land();
    await first;
    await nextTurn();
    results.push(group.add(2));
    await nextTurn();
    expect(flights).toHaveLength(1);
    while (flights.length < 2) await nextTurn();
    expect(flights[1]?.items).toEqual([1, 2]);
    flights[1]?.land();
    await Promise.all(results);
    const lone = group.add(3);
    await nextTurn();
    expect(flights).toHaveLength(3);
    flights[2]?.land();
    expect(await lone).toBe("3");
  });

  test("a batch that fills up while it gathers leaves at once", async () => {
    const { send, flights } = controlledSend();
    const group = createGroupCommit({ send, gatherMs: 60_000, patienceMs: 60_000, itemsMax: 2 });
    const results = [group.add(0)];
    await nextTurn();
    results.push(group.add(1));
    flights[0]?.land();
    await results[0];
    results.push(group.add(2));
    await nextTurn();
    expect(flights[1]?.items).toEqual([1, 2]);
    flights[1]?.land();
    await Promise.all(results);
  });

  test("no more than the allowed flights are under way, and idle waits for the last", async () => {
    const { send, flights } = controlledSend();
    const group = createGroupCommit({ send, itemsMax: 1, callsMax: 2 });
    const results = Promise.all([1, 2, 3].map((n) => group.add(n)));
    await nextTurn();
    expect(flights).toHaveLength(2);
    let isIdle = false;
    const idle = group.idle().then(() => {
      isIdle = true;
    });
    flights[0]?.land();
    flights[1]?.land();
    await nextTurn();
    expect(isIdle).toBe(false);
    flights[2]?.land();
    await Promise.all([results, idle]);
  });
});

describe("limits", () => {
  const positive = fc.integer({ min: 1, max: 20 });
  const sizes = fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 60 });

  test("every item is sent once, in order, within the limits, a large one alone", async () => {
    await fc.assert(
      fc.asyncProperty(sizes, positive, positive, positive, async (items, most, bytes, alone) => {
        const sent: number[][] = [];
        const group = createGroupCommit<{ id: number; size: number }, number>({
          async send(batch) {
            sent.push(batch.map(({ id }) => id));
            await nextTurn();
            return batch.map(({ id }) => id);
          },
          sizeOf: ({ size }) => size,
          itemsMax: most,
          bytesMax: bytes,
          aloneBytes: alone,
          patienceMs: 0,
        });
        const added = items.map((size, id) => group.add({ id, size }));
        expect(await Promise.all(added)).toEqual(items.map((_, id) => id));
        expect(sent.flat()).toEqual(items.map((_, id) => id));
        for (const batch of sent.filter(({ length }) => length > 1)) {
          const weights = batch.map((id) => items[id] ?? 0);
          expect(batch.length).toBeLessThanOrEqual(most);
          expect(weights.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(bytes);
          expect(Math.max(...weights)).toBeLessThan(alone);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe("failures", () => {
  test("bad items fail alone; their neighbours get their results", async () => {
    const arrays = fc.array(fc.boolean(), { minLength: 1, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(arrays, fc.integer({ min: 1, max: 15 }), async (isBad, itemsMax) => {
        const group = createGroupCommit<number, number>({
          async send(items) {
            await nextTurn();
            if (items.some((index) => isBad[index])) throw new Error("bad item");
            return items;
          },
          itemsMax,
          patienceMs: 0,
        });
        const outcomes = await Promise.allSettled(isBad.map((_, index) => group.add(index)));
        expect(outcomes.map(({ status }) => status === "rejected")).toEqual(isBad);
        await group.idle();
      }),
      { numRuns: 60 },
    );
  });

  test("with the database gone everybody is told and nothing is sent again", async () => {
    const { send, flights } = controlledSend();
    const group = createGroupCommit({ send });
    const outcomes = Promise.allSettled([1, 2, 3].map((n) => group.add(n)));
    await nextTurn();
    flights[0]?.crash(unavailableError(null));
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ reason: { code: "database_unavailable" } });
    }
    expect(flights).toHaveLength(1);
  });

  test("an item sent alone again gets its own error, not that of the batch", async () => {
    const group = createGroupCommit<number, number>({
      async send(items) {
        if (items.length > 1) throw new Error("the batch");
        if (items[0] === 2) throw new AppError("in_flight", { publicDetail: "two" });
        return items;
      },
    });
    const [one, two] = await Promise.allSettled([group.add(1), group.add(2)]);
    expect(one).toMatchObject({ value: 1 });
    expect(two).toMatchObject({ reason: { code: "in_flight" } });
  });

  test("too few results are an error for everybody, never somebody else's result", async () => {
    const group = createGroupCommit<number, number>({ send: async () => [] });
    const outcomes = await Promise.allSettled([group.add(1), group.add(2)]);
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  });
});

describe("an item that another transaction has locked", () => {
  /** Rows that are locked: a batch fails of them, or leaves them out and says so. */
  function lockedSend(locked: ReadonlySet<number>, isLeftOut: boolean) {
    const calls: { items: number[]; isAlone: boolean }[] = [];
    const send = async (items: number[], { isAlone }: BatchCall) => {
      calls.push({ items, isAlone });
      await nextTurn();
      if (isLeftOut && !isAlone) return items.map((n) => (locked.has(n) ? contended : n));
      if (items.some((n) => locked.has(n))) throw contendedError(new Error("55P03"));
      return items;
    };
    return { send, calls };
  }

  for (const isLeftOut of [true, false]) {
    test(`is refused alone, its batch sent (${isLeftOut ? "left out" : "failed"})`, async () => {
      const { send } = lockedSend(new Set([2]), isLeftOut);
      const group = createGroupCommit<number, number>({ send });
      const [one, two, three] = await Promise.allSettled([1, 2, 3].map((n) => group.add(n)));
      expect([one, three]).toMatchObject([{ value: 1 }, { value: 3 }]);
      expect(two).toMatchObject({ status: "rejected" });
      expect(two?.status === "rejected" && isContended(two.reason)).toBe(true);
      await group.idle();
    });
  }

  test("travels alone from then on, until it is free, and never holds a batch up again", async () => {
    const locked = new Set([2]);
    const { send, calls } = lockedSend(locked, false);
    const group = createGroupCommit<number, number>({ send, keyOf: String });
    await Promise.allSettled([1, 2].map((n) => group.add(n)));
    calls.length = 0;
    const again = await Promise.allSettled([1, 2, 3].map((n) => group.add(n)));
    expect(again.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(calls.filter(({ isAlone }) => !isAlone).map(({ items }) => items)).toEqual([[1, 3]]);
    locked.clear();
    expect(await group.add(2)).toBe(2);
    calls.length = 0;
    expect(await Promise.all([1, 2].map((n) => group.add(n)))).toEqual([1, 2]);
    expect(calls).toEqual([{ items: [1, 2], isAlone: false }]);
  });

  test("is waited for by two at a time, and with many of them the next is refused at once", async () => {
    const held: (() => void)[] = [];
    const group = createGroupCommit<number, number>({
      async send(items, { isAlone }) {
        if (!isAlone) return items.map(() => contended);
        await new Promise<void>((resolve) => held.push(resolve));
        return items;
      },
    });
    const added = Array.from({ length: 30 }, (_, n) => group.add(n));
    const outcomes = Promise.allSettled(added);
    while (held.length < 2) await nextTurn();
    await nextTurn();
    expect(held).toHaveLength(2);
    expect(isContended(await added.at(-1)?.catch((error: unknown) => error))).toBe(true);
    while ((await Promise.race([outcomes, nextTurn()])) === undefined) held.shift()?.();
    const fulfilled = (await outcomes).filter(({ status }) => status === "fulfilled");
    expect(fulfilled.length).toBeWithin(16, 20);
  });
});

describe("a database that does not answer", () => {
  const hanging = () => new Promise<never>(() => {});

  test("refuses whoever waited for the deadline, under way or not, and sends it no more", async () => {
    let sent = 0;
    const group = createGroupCommit<number, number>({
      send: (items) => {
        sent += items.length;
        return hanging();
      },
      callsMax: 1,
      itemsMax: 1,
      deadlineMs: 30,
    });
    const outcomes = await Promise.allSettled([1, 2, 3].map((n) => group.add(n)));
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ reason: { code: "database_unavailable" } });
    }
    expect(sent).toBe(1);
  });

  test("a call that runs into its deadline tells everybody who waits behind it", async () => {
    const { send, flights } = controlledSend();
    const group = createGroupCommit({ send, callsMax: 1, itemsMax: 1 });
    const outcomes = Promise.allSettled([1, 2, 3].map((n) => group.add(n)));
    await nextTurn();
    flights[0]?.crash(unansweredError(new Error("no answer")));
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ reason: { code: "database_unavailable" } });
    }
    expect(flights).toHaveLength(1);
  });

  test("an item of megabytes that is not answered concerns nobody else", async () => {
    const { send, flights } = controlledSend();
    const sizeOf = (n: number) => (n === 1 ? 3_000_000 : 10);
    const group = createGroupCommit({ send, sizeOf, callsMax: 1 });
    const outcomes = Promise.allSettled([1, 2].map((n) => group.add(n)));
    await nextTurn();
    flights[0]?.crash(unansweredError(new Error("no answer")));
    while (flights.length < 2) await nextTurn();
    flights[1]?.land();
    expect(await outcomes).toMatchObject([{ status: "rejected" }, { value: "2" }]);
  });
});
