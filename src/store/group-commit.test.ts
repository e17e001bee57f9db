import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { AppError } from "../errors.ts";
import { unavailableError } from "./call-error.ts";
import { createGroupCommit } from "./group-commit.ts";

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
    const group = createGroupCommit({ send, flightsMax: 1, patienceMs: 0 });
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
    const group = createGroupCommit({ send, itemsMax: 1, flightsMax: 2 });
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
