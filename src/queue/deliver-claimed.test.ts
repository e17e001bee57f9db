import { expect, test } from "bun:test";
import { createLogger } from "../log.ts";
import type { ClaimedEmail, Release } from "../store/attempts.ts";
import type { BreakerSnapshot } from "./breaker.ts";
import { deliverClaimed } from "./deliver.ts";
import type { OpenedEmail } from "./encrypt-email.ts";
import { noFailPoints } from "./fail-points.ts";
import { createHeadroom } from "./headroom.ts";
import { createHoldings } from "./holdings.ts";
import { noRateLimit } from "./rate-limit.ts";
import { createSettling, type SettlingDeps } from "./settling.ts";

interface TurnOfTest {
  isFit?: boolean;
  hasRoom?: boolean;
  nextProbeInMs?: number | null;
  /** Whether it was too late when its turn came, and once it might begin. */
  isPastAfter?: boolean[];
}

/** An email that has its turn while something stands in its way; what became of it. */
async function turnOf({
  isFit = true,
  hasRoom = true,
  nextProbeInMs = null,
  isPastAfter = [],
}: TurnOfTest) {
  const released: Release[] = [];
  const queued: unknown[] = [];
  let sent = 0;
  const deps = {
    direct: { isFit },
    headroom: createHeadroom({ behindMax: 1, jobsMax: { alone: 1, shared: 1 } }),
    breaker: {
      tryEnter: () => (hasRoom ? { isCurrent: true, leave: () => {} } : null),
      snapshot: () => ({ nextProbeInMs }) as BreakerSnapshot,
    },
    attempts: {
      adopt: () => {},
      release: async (release: Release) => {
        released.push(release);
        return { applied: true, wake: 2, delayMs: release.delayMs };
      },
    },
    enqueue: { add: (email: unknown) => queued.push(email) },
    sender: { send: async () => (sent += 1) },
    rateLimit: noRateLimit,
    failPoints: noFailPoints,
    random: () => 0,
    log: createLogger({ level: "silent" }),
  };
  const holdings = createHoldings();
  const settling = createSettling({ ...deps, holdings } as unknown as SettlingDeps);
  const signal = new AbortController().signal;
  const signals = { drain: signal, end: signal };
  const depsOfTest = { ...deps, holdings, settling } as unknown as Parameters<
    typeof deliverClaimed
  >[0];
  const held = {
    email: { id: "e", token: 1, ownerId: "ada" } as ClaimedEmail,
    opened: {} as OpenedEmail,
    standing: { line: 1, isBehind: true },
    heldMs: () => 0,
    isPast: () => isPastAfter.shift() ?? false,
  };
  const delivered = await deliverClaimed(depsOfTest, held, signals);
  expect(delivered).toEqual({ kind: "released", reason: "aborted" });
  expect(sent).toBe(0);
  expect(queued).toEqual([{ id: "e", wake: 2, delayMs: released[0]?.delayMs, ownerId: "ada" }]);
  return released;
}

test("an email whose turn comes after the queue was paused is given back to it", async () => {
  expect(await turnOf({ isFit: false })).toMatchObject([{ id: "e", token: 1, delayMs: 0 }]);
});

test("one whose turn comes while the transport is down waits with all the others", async () => {
  expect(await turnOf({ hasRoom: false, nextProbeInMs: 700 })).toMatchObject([{ delayMs: 700 }]);
});

test.each([[[true, true]], [[false, true]]])(
  "one that is too late is given back to be judged again: %j",
  async (isPastAfter) => {
    expect(await turnOf({ isPastAfter })).toMatchObject([{ id: "e", token: 1, delayMs: 0 }]);
  },
);
