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
  expect(turns.clear()).toEqual(["a2"]);
  expect(turns.next()).toBeUndefined();
});
