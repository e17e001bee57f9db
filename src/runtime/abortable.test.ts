import { expect, test } from "bun:test";
import { endedWithin, within } from "./abortable.ts";

const cause = new Error("NOPERM this user has no permissions");

test("what fails in time rejects with its own cause; null is for what is late alone", async () => {
  await expect(within(Promise.reject(cause), 1_000)).rejects.toBe(cause);
  expect(await within(Promise.resolve(7), 1_000)).toBe(7);
  expect(await within(new Promise(() => {}), 1)).toBeNull();
});

test("a failure that comes too late is nobody's unhandled rejection", async () => {
  const failing = Promise.withResolvers<never>();
  expect(await within(failing.promise, 1)).toBeNull();
  failing.reject(cause);
  await Bun.sleep(0);
});

test("a step of a stop that fails is told with its cause, and the stop goes on", async () => {
  const told: unknown[] = [];
  await endedWithin(Promise.reject(cause), 1_000, (error) => told.push(error));
  await endedWithin(new Promise(() => {}), 1, (error) => told.push(error));
  expect(told).toEqual([cause]);
});
