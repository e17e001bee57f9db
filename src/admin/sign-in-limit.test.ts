import { expect, test } from "bun:test";
import { createSignInLimit } from "./sign-in-limit.ts";

function startLimit() {
  const clock = { ms: 0 };
  const options = { perAddress: 2, overall: 4, windowMs: 60_000, now: () => clock.ms };
  return { clock, limit: createSignInLimit(options) };
}

test("an address that failed too often waits until its window ends; another does not", () => {
  const { clock, limit } = startLimit();
  const kinds = [1, 2, 3].map(() => limit.take("192.0.2.1").kind);
  expect(kinds).toEqual(["go", "go", "wait"]);
  expect(limit.take("192.0.2.2").kind).toBe("go");
  clock.ms += 20_000;
  expect(limit.take("192.0.2.1")).toEqual({ kind: "wait", seconds: 40 });
  clock.ms += 40_000;
  expect(limit.take("192.0.2.1").kind).toBe("go");
});

test("all addresses together are bounded too", () => {
  const { clock, limit } = startLimit();
  const kinds = [1, 2, 3, 4, 5].map((host) => limit.take(`192.0.2.${host}`).kind);
  expect(kinds).toEqual(["go", "go", "go", "go", "wait"]);
  clock.ms += 60_000;
  expect(limit.take("192.0.2.6").kind).toBe("go");
});

test("what was no guess is not counted", () => {
  const { limit } = startLimit();
  for (let count = 0; count < 20; count++) {
    expect(limit.take("192.0.2.1").kind).toBe("go");
    limit.giveBack("192.0.2.1");
  }
});

test.each([
  ["2001:db8::1", "2001:db8::ffff:1", true],
  ["2001:db8:0:0:1:2:3:4", "2001:db8::9", true],
  ["2001:db8:0:1::1", "2001:db8:0:2::1", false],
  ["::1", "2001:db8::1", false],
  ["::ffff:192.0.2.1", "::ffff:192.0.2.2", false],
])("%s and %s are one network: %p", (first, second, isOne) => {
  const { limit } = startLimit();
  limit.take(first);
  limit.take(first);
  expect(limit.take(second).kind).toBe(isOne ? "wait" : "go");
});
