import { expect, test } from "bun:test";
import { createTurns } from "./turns.ts";

test("owners take turns, and each owner's own come in their order", () => {
  const turns = createTurns<string>();
  for (const n of [1, 2, 3]) turns.add("ada", `a${n}`);
  turns.add("bob", "b1");
  expect(turns.next()).toBe("a1");
  turns.add("eve", "e1");
  const rest = Array.from({ length: 5 }, () => turns.next());
  expect(rest).toEqual(["b1", "a2", "e1", "a3", undefined]);
});

test("whoever leaves the line is not called, and holds nobody up", () => {
  const turns = createTurns<string>();
  turns.add("ada", "a1");
  turns.add("ada", "a2");
  turns.add("bob", "b1");
  turns.remove("ada", "a1");
  turns.remove("bob", "b1");
  turns.remove("bob", "b1");
  turns.remove("eve", "e1");
  expect(turns.size).toBe(1);
  expect(turns.takeOut(() => true)).toEqual(["a2"]);
  expect(turns.next()).toBeUndefined();
  expect(turns.size).toBe(0);
});

test("who comes again is next, and its owner has had that turn", () => {
  const turns = createTurns<string>();
  turns.add("ada", "a1");
  turns.add("bob", "b1");
  turns.addFirst("bob", "b0");
  const all = Array.from({ length: 4 }, () => turns.next());
  expect(all).toEqual(["b0", "a1", "b1", undefined]);
});

test("some are taken out of every line, and the others keep their places", () => {
  const turns = createTurns<string>();
  for (const waiter of ["a1", "a2", "a3"]) turns.add("ada", waiter);
  turns.add("bob", "b2");
  expect(turns.takeOut((waiter) => waiter.endsWith("2"))).toEqual(["a2", "b2"]);
  expect(turns.size).toBe(2);
  expect([turns.next(), turns.next(), turns.next()]).toEqual(["a1", "a3", undefined]);
});

test("the next so many are told in the order of their turns, and still wait", () => {
  const turns = createTurns<string>();
  expect(turns.peek(3)).toEqual([]);
  for (const waiter of ["a1", "a2", "a3"]) turns.add("ada", waiter);
  turns.add("bob", "b1");
  expect(turns.peek(3)).toEqual(["a1", "b1", "a2"]);
  expect(turns.peek(9)).toEqual(["a1", "b1", "a2", "a3"]);
  expect(turns.size).toBe(4);
  expect(Array.from({ length: 4 }, () => turns.next())).toEqual(["a1", "b1", "a2", "a3"]);
});
