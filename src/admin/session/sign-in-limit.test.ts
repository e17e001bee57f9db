import { describe, expect, test } from "bun:test";
import { createSignInLimit } from "./sign-in-limit.ts";

function startLimit() {
  const clock = { ms: 0 };
  const bounds = { perNetwork: 2, overall: 4, perAccountAndNetwork: 2, perAccount: 4 };
  const options = { ...bounds, windowMs: 60_000, now: () => clock.ms };
  return { clock, limit: createSignInLimit(options) };
}

test("a network that failed too often waits until its window ends; another does not", () => {
  const { clock, limit } = startLimit();
  const kinds = [1, 2, 3].map(() => limit.fail("192.0.2.1").kind);
  expect(kinds).toEqual(["go", "go", "wait"]);
  expect(limit.fail("192.0.2.2").kind).toBe("go");
  clock.ms += 20_000;
  expect(limit.fail("192.0.2.1")).toEqual({ kind: "wait", seconds: 40 });
  clock.ms += 40_000;
  expect(limit.fail("192.0.2.1").kind).toBe("go");
});

test("what fails from all networks together is bounded too", () => {
  const { clock, limit } = startLimit();
  const kinds = [1, 2, 3, 4, 5].map((host) => limit.fail(`192.0.2.${host}`).kind);
  expect(kinds).toEqual(["go", "go", "go", "go", "wait"]);
  clock.ms += 60_000;
  expect(limit.fail("192.0.2.6").kind).toBe("go");
});

describe("passwords", () => {
  test("are counted by account: guesses at one lock no other, from the same network or another", () => {
    const { limit } = startLimit();
    const kinds = [1, 2, 3].map(() => limit.takePassword("ann", "192.0.2.1").kind);
    expect(kinds).toEqual(["go", "go", "wait"]);
    expect(limit.takePassword("bob", "192.0.2.1").kind).toBe("go");
    expect(limit.takePassword("ann", "192.0.2.2").kind).toBe("go");
  });

  test("guessed from everywhere wait, but not where the account has signed in from", () => {
    const { limit } = startLimit();
    limit.takePassword("ann", "198.51.100.1");
    limit.giveBackPassword("ann", "198.51.100.1", true);
    const hosts = [1, 2, 3, 4, 5];
    const kinds = hosts.map((host) => limit.takePassword("ann", `192.0.2.${host}`).kind);
    expect(kinds).toEqual(["go", "go", "go", "go", "wait"]);
    expect(limit.takePassword("ann", "198.51.100.1").kind).toBe("go");
  });

  test("that were right, or that nobody could check, are not counted", () => {
    const { limit } = startLimit();
    for (let count = 0; count < 20; count++) {
      expect(limit.takePassword("ann", "192.0.2.1").kind).toBe("go");
      limit.giveBackPassword("ann", "192.0.2.1", count % 2 === 0);
    }
  });
});

test.each([
  ["2001:db8::1", "2001:db8::ffff:1", true],
  ["2001:db8:0:0:1:2:3:4", "2001:db8::9", true],
  ["2001:db8:0:1::1", "2001:db8:0:2::1", false],
  ["::1", "2001:db8::1", false],
  ["::ffff:192.0.2.1", "::ffff:192.0.2.2", false],
])("%s and %s are one network: %p", (first, second, isOne) => {
  const { limit } = startLimit();
  limit.fail(first);
  limit.fail(first);
  expect(limit.fail(second).kind).toBe(isOne ? "wait" : "go");
});
