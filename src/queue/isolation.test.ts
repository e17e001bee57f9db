import { expect, test } from "bun:test";
import { createIsolation } from "./isolation.ts";

const never = new AbortController().signal;

test("one runs at a time, in the order they came", async () => {
  const isolation = createIsolation();
  const steps: string[] = [];
  const gates = [1, 2, 3].map(() => Promise.withResolvers<void>());
  const runs = gates.map((gate, index) =>
    isolation.run(async () => {
      steps.push(`in ${index}`);
      await gate.promise;
      steps.push(`out ${index}`);
    }, never),
  );
  for (const gate of gates.toReversed()) gate.resolve();
  await Promise.all(runs);
  expect(steps).toEqual(["in 0", "out 0", "in 1", "out 1", "in 2", "out 2"]);
});

test("one that fails, or gives up waiting, lets the next one in after those before it", async () => {
  const isolation = createIsolation();
  const gate = Promise.withResolvers<void>();
  const steps: string[] = [];
  const first = isolation.run(async () => {
    await gate.promise;
    steps.push("first");
    throw new Error("failed");
  }, never);
  const leaving = new AbortController();
  const second = isolation.run(async () => void steps.push("second"), leaving.signal);
  const third = isolation.run(async () => void steps.push("third"), never);
  leaving.abort(new Error("draining"));
  await expect(second).rejects.toThrow("draining");
  gate.resolve();
  await expect(first).rejects.toThrow("failed");
  await third;
  expect(steps).toEqual(["first", "third"]);
});
