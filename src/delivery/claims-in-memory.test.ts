import { expect, test } from "bun:test";
import { createClaimsInMemory } from "./claims-in-memory.ts";

const claim = { id: "e", token: 1 };

test("a claim is held under its token until everybody who held it has dropped it", () => {
  const claimsInMemory = createClaimsInMemory();
  const drops = [claimsInMemory.keep(claim), claimsInMemory.keep(claim)];
  expect(claimsInMemory.has(claim)).toBe(true);
  expect(claimsInMemory.has({ ...claim, token: 2 })).toBe(false);
  drops[0]?.();
  drops[0]?.();
  expect([claimsInMemory.has(claim), claimsInMemory.count]).toEqual([true, 1]);
  expect(claimsInMemory.list()).toEqual([claim]);
  drops[1]?.();
  expect([claimsInMemory.has(claim), claimsInMemory.count]).toEqual([false, 0]);
});

test("an email that a call under way may claim is held, whatever its token will be", () => {
  const claimsInMemory = createClaimsInMemory();
  const first = claimsInMemory.ask(["e", "f"]);
  const second = claimsInMemory.ask(["e"]);
  first.end();
  expect(claimsInMemory.has({ id: "f", token: 1 })).toBe(false);
  expect(claimsInMemory.has({ id: "e", token: 9 })).toBe(true);
  second.end();
  expect(claimsInMemory.has({ id: "e", token: 9 })).toBe(false);
});

test("what a call without an answer may have claimed is named for a minute", () => {
  const clock = { ms: 0 };
  let told = 0;
  const claimsInMemory = createClaimsInMemory({ onLost: () => (told += 1), now: () => clock.ms });
  claimsInMemory.ask(["a"]).lose();
  claimsInMemory.ask([]).lose();
  clock.ms = 30_000;
  claimsInMemory.ask(["b"]).lose();
  expect([claimsInMemory.lostIds(), told]).toEqual([["a", "b"], 2]);
  expect(claimsInMemory.has({ id: "a", token: 1 })).toBe(false);
  clock.ms = 60_001;
  expect(claimsInMemory.lostIds()).toEqual(["b"]);
});
