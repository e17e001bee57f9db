import { expect, test } from "bun:test";
import { createConnectionCeiling } from "./connection-ceiling.ts";

function ceilingOf(sizeMax: number) {
  let ms = 0;
  const told: string[] = [];
  const log = {
    info: (event: string, fields = {}) => void told.push(JSON.stringify([event, fields])),
  };
  const ceiling = createConnectionCeiling({ sizeMax, raiseAfterMs: 10_000, log, now: () => ms });
  return {
    ceiling,
    told,
    pass(passedMs: number) {
      ms += passedMs;
    },
    /** Opens as many as it lets us, of which the server takes all up to its own limit. */
    fill(open: number, serverMax: number): number {
      let count = open;
      while (ceiling.hasRoom({ open: count, opening: 0 })) {
        let opening = 0;
        while (ceiling.hasRoom({ open: count, opening })) opening += 1;
        for (; opening > 0; opening -= 1) {
          const counts = { open: count < serverMax ? count + 1 : count, opening: opening - 1 };
          if (count < serverMax) ceiling.opened(counts);
          else ceiling.refused(counts, { code: 421, enhanced: null, text: "too many" });
          count = counts.open;
        }
        ms += 100;
      }
      return count;
    },
  };
}

test("opens one connection, then as many as have worked", () => {
  const { ceiling } = ceilingOf(20);
  const most = (open: number) => {
    let opening = 0;
    while (ceiling.hasRoom({ open, opening })) opening += 1;
    return opening;
  };
  expect([0, 1, 2, 4, 8, 16, 20].map(most)).toEqual([1, 1, 2, 4, 8, 4, 0]);
});

test("one more is tried after 10 s, then after twice as long each time up to 5 minutes", () => {
  const { ceiling, pass, fill } = ceilingOf(20);
  expect(fill(0, 3)).toBe(3);
  const waits: number[] = [];
  for (let i = 0; i < 7; i += 1) {
    let waitedMs = 0;
    for (; !ceiling.hasRoom({ open: 3, opening: 0 }); waitedMs += 1_000) pass(1_000);
    expect(ceiling.hasRoom({ open: 3, opening: 1 })).toBe(false);
    ceiling.refused({ open: 3, opening: 0 }, null);
    waits.push(waitedMs / 1_000);
  }
  expect(waits).toEqual([10, 20, 40, 80, 160, 300, 300]);
});

test("what the server allows more is found, faster with each success", () => {
  const { ceiling, pass, fill, told } = ceilingOf(20);
  let open = fill(0, 3);
  let waitedMs = 0;
  for (; open < 20; waitedMs += 500) {
    pass(500);
    open = fill(open, 20);
  }
  expect(waitedMs).toBeLessThan(60_000);
  expect(ceiling.limit).toBe(20);
  expect(told).toHaveLength(1);
});

test("the line in the log says how many are allowed, of how many, and the reply's code", () => {
  const { told, fill } = ceilingOf(20);
  fill(0, 5);
  expect(told[0]).toContain("SMTP_POOL_SIZE (now 20)");
  expect(told[0]).toContain('"count":5');
  expect(told[0]).toContain('"smtp_code":421');
});

test("a place that the server has not noticed to be free lowers nothing", () => {
  const { ceiling, pass, fill } = ceilingOf(5);
  expect(fill(0, 5)).toBe(5);
  ceiling.ended({ open: 5, opening: 0 });
  ceiling.refused({ open: 4, opening: 0 }, null);
  expect(ceiling.limit).toBe(5);
  // A moment later it is asked for again.
  expect(ceiling.hasRoom({ open: 4, opening: 0 })).toBe(false);
  pass(50);
  expect(ceiling.hasRoom({ open: 4, opening: 0 })).toBe(true);
  // Refused for longer, it is gone.
  pass(2_000);
  ceiling.refused({ open: 4, opening: 0 }, null);
  expect(ceiling.limit).toBe(4);
});

test("of a server that was gone nothing is remembered", () => {
  const { ceiling, fill } = ceilingOf(20);
  fill(0, 1);
  ceiling.forget();
  expect(fill(0, 20)).toBe(20);
});

test("no connection at all is never the ceiling", () => {
  const { ceiling } = ceilingOf(20);
  ceiling.refused({ open: 0, opening: 0 }, null);
  expect(ceiling.limit).toBe(1);
  expect(ceiling.hasRoom({ open: 0, opening: 0 })).toBe(true);
});
