import { describe, expect, test } from "bun:test";
import { lsnText, parseLsn } from "./recent-writers.ts";
import { createReplicaLag } from "./replica-lag.ts";

const at = (lsn: bigint, askedAtMs: number, answeredAtMs = askedAtMs + 1) => ({
  lsn,
  askedAtMs,
  answeredAtMs,
});

describe("the lag of a replica", () => {
  test("is the age of the first moment at which the primary was further", () => {
    const lag = createReplicaLag();
    for (const [lsn, ms] of [
      [10n, 100],
      [20n, 200],
      [30n, 300],
    ] as const) {
      lag.add(at(lsn, ms));
    }
    expect(lag.lagOf(30n, 1_000)).toBe(0);
    expect(lag.lagOf(29n, 1_000)).toBe(700);
    expect(lag.lagOf(9n, 1_000)).toBe(900);
  });

  test("that is allowed asks for what the primary had at a moment no earlier", () => {
    const lag = createReplicaLag();
    expect(lag.reachedAt(0)).toBeNull();
    lag.add(at(10n, 100));
    lag.add(at(20n, 200));
    expect(lag.reachedAt(100)).toBe(10n);
    expect(lag.reachedAt(101)).toBe(20n);
    expect(lag.reachedAt(201)).toBeNull();
  });

  test("forgets a primary that another one followed, and not for answers out of order", () => {
    const lag = createReplicaLag();
    lag.add(at(50n, 100, 110));
    lag.add(at(40n, 105, 120));
    expect(lag.lagOf(49n, 200)).toBe(100);
    lag.add(at(45n, 150));
    expect(lag.lagOf(45n, 200)).toBe(0);
  });

  test("stays known however long it lasts", () => {
    const lag = createReplicaLag();
    for (let ms = 0; ms < 5_000; ms++) lag.add(at(BigInt(ms + 1), ms));
    expect(lag.lagOf(0n, 5_000)).toBe(5_000);
  });
});

test("a place in the log is read and written as PostgreSQL writes it", () => {
  for (const text of ["0/0", "16/B374D848", "FFFFFFFF/1"]) {
    expect(lsnText(parseLsn(text))).toBe(text);
  }
  expect(parseLsn("1/0") > parseLsn("0/FFFFFFFF")).toBe(true);
});
