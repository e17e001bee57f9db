import { expect, test } from "bun:test";
import { createLogger } from "../../log.ts";
import type { ProbeRequest } from "../../store/probe-requests.ts";
import type { BreakerSnapshot } from "./breaker.ts";
import { createProbeWatch } from "./probe-watch.ts";

function watchOf() {
  const at: { state: BreakerSnapshot["state"]; request: ProbeRequest | null } = {
    state: "open",
    request: null,
  };
  const count = { asked: 0, probed: 0 };
  const watch = createProbeWatch({
    requests: {
      last: async () => {
        count.asked += 1;
        return at.request;
      },
    },
    breaker: {
      snapshot: () => ({ state: at.state }) as BreakerSnapshot,
      probeNow: () => {
        count.probed += 1;
      },
    },
    transport: "smtp.example.net:25",
    log: createLogger({ level: "silent" }),
  });
  return { at, count, watch };
}

test("the database is asked only while the breaker is open", async () => {
  const { at, count, watch } = watchOf();
  for (const state of ["closed", "half_open"] as const) {
    at.state = state;
    await watch.look();
  }
  expect(count).toEqual({ asked: 0, probed: 0 });
});

test("each request probes once, unless it is of an earlier outage", async () => {
  const { at, count, watch } = watchOf();
  await watch.look();
  at.request = { askedAt: "1", ageMs: 400 };
  await watch.look();
  await watch.look();
  expect(count.probed).toBe(1);
  at.request = { askedAt: "2", ageMs: 31_000 };
  await watch.look();
  expect(count.probed).toBe(1);
  at.request = { askedAt: "3", ageMs: 0 };
  await watch.look();
  expect(count.probed).toBe(2);
});
