import { expect, test } from "bun:test";
import { createHoldings } from "./holdings.ts";

const claim = { id: "e", token: 1 };

test("a claim is held under its token until everybody who held it has dropped it", () => {
  const holdings = createHoldings();
  const drops = [holdings.hold(claim), holdings.hold(claim)];
  expect(holdings.isHeld(claim)).toBe(true);
  expect(holdings.isHeld({ ...claim, token: 2 })).toBe(false);
  drops[0]?.();
  drops[0]?.();
  expect([holdings.isHeld(claim), holdings.count]).toEqual([true, 1]);
  expect(holdings.list()).toEqual([claim]);
  drops[1]?.();
  expect([holdings.isHeld(claim), holdings.count]).toEqual([false, 0]);
});

test("an email that a call under way may claim is held, whatever its token will be", () => {
  const holdings = createHoldings();
  const first = holdings.ask(["e", "f"]);
  const second = holdings.ask(["e"]);
  first.end();
  expect(holdings.isHeld({ id: "f", token: 1 })).toBe(false);
  expect(holdings.isHeld({ id: "e", token: 9 })).toBe(true);
  second.end();
  expect(holdings.isHeld({ id: "e", token: 9 })).toBe(false);
});

test("what a call without an answer may have claimed is named for a minute", () => {
  const clock = { ms: 0 };
  let told = 0;
  const holdings = createHoldings({ onLost: () => (told += 1), now: () => clock.ms });
  holdings.ask(["a"]).lose();
  holdings.ask([]).lose();
  clock.ms = 30_000;
  holdings.ask(["b"]).lose();
  expect([holdings.lostIds(), told]).toEqual([["a", "b"], 2]);
  expect(holdings.isHeld({ id: "a", token: 1 })).toBe(false);
  clock.ms = 60_001;
  expect(holdings.lostIds()).toEqual(["b"]);
});
