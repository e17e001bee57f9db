import { expect, test } from "bun:test";
import { createDestinations } from "./destinations.ts";

test("a domain is backed off for half a minute, then a minute, up to thirty", async () => {
  const minuteMs = 40;
  const destinations = createDestinations({ minuteMs });
  const waits: number[] = [];
  for (let times = 0; times < 8; times++) {
    destinations.backOff(["example.com"]);
    const waitMs = destinations.remainingMs(["example.com"]);
    waits.push(waitMs);
    if (times < 7) await Bun.sleep(waitMs + 1);
  }
  const expected = [20, 40, 80, 160, 320, 640, 1_200, 1_200];
  for (const [i, wait] of waits.entries()) {
    expect(wait).toBeWithin((expected[i] ?? 0) / 2, (expected[i] ?? 0) + 1);
  }
});

test("conversations that were under way do not prolong it", () => {
  const destinations = createDestinations({ minuteMs: 60_000 });
  for (let i = 0; i < 20; i++) destinations.backOff(["example.com"]);
  expect(destinations.remainingMs(["example.com"])).toBeLessThanOrEqual(30_000);
});

test("an email waits only while all its domains are backed off, for the first that is not", () => {
  const destinations = createDestinations({ minuteMs: 60_000 });
  destinations.backOff(["a.example", "b.example"]);
  expect(destinations.remainingMs(["a.example", "c.example"])).toBe(0);
  expect(destinations.remainingMs(["a.example", "b.example"])).toBeGreaterThan(29_000);
});

test("a success clears it, and the next 421 begins at half a minute again", async () => {
  const destinations = createDestinations({ minuteMs: 60 });
  destinations.backOff(["example.com"]);
  await Bun.sleep(destinations.remainingMs(["example.com"]) + 1);
  destinations.succeed(["example.com"]);
  destinations.backOff(["example.com"]);
  expect(destinations.remainingMs(["example.com"])).toBeLessThanOrEqual(30);
});

test("no more domains are remembered than there is room for; the oldest go", () => {
  const destinations = createDestinations({ minuteMs: 60_000, domainsMax: 3 });
  destinations.backOff(["a.example", "b.example", "c.example", "d.example"]);
  expect(destinations.remainingMs(["a.example"])).toBe(0);
  for (const domain of ["b.example", "c.example", "d.example"]) {
    expect(destinations.remainingMs([domain])).toBeGreaterThan(0);
  }
});
