import { expect, test } from "bun:test";
import { mostWithin } from "../../testing/model/sliding-window.ts";
import { createHandOverGuard } from "./hand-over-guard.ts";

const never = new AbortController().signal;

/** Offers `count` messages at once; answers each after its latency. When each was taken. */
async function run(ratePerSecond: number, count: number, latencyMs: (index: number) => number) {
  const guard = createHandOverGuard(ratePerSecond);
  const taken: number[] = [];
  await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const handOver = await guard.pass(never);
      await Bun.sleep(latencyMs(index));
      taken.push(performance.now());
      handOver.answered();
    }),
  );
  return taken.sort((a, b) => a - b);
}

test("no second sees more than the limit, though the answers jitter", async () => {
  const taken = await run(40, 120, (index) => 5 + ((index * 37) % 90));
  expect(mostWithin(taken, 1_000)).toBeLessThanOrEqual(40);
  expect(mostWithin(taken, 1_000)).toBeGreaterThan(30);
});

test("a limit below one a second is a longer gap", async () => {
  const taken = await run(0.8, 2, () => 1);
  expect((taken[1] ?? 0) - (taken[0] ?? 0)).toBeGreaterThanOrEqual(1_250);
});

test("the first answer is not taken for the quickest possible", async () => {
  const taken = await run(1, 2, (index) => (index === 0 ? 100 : 1));
  expect((taken[1] ?? 0) - (taken[0] ?? 0)).toBeGreaterThanOrEqual(1_000);
});

test("a next hop that is slow but even does not lower the rate", async () => {
  const startedAt = performance.now();
  // The first answer tells how slow it is; from then on a full second's worth goes every second.
  await run(10, 40, () => 1_500);
  // 40 messages, ten at a time, each ten waiting for its answers, would take six seconds.
  expect(performance.now() - startedAt).toBeLessThan(5_900);
});

test("a stop signal ends the wait", async () => {
  const guard = createHandOverGuard(1);
  await guard.pass(never);
  const stop = new AbortController();
  const waiting = guard.pass(stop.signal);
  stop.abort(new Error("out of time"));
  await expect(waiting).rejects.toThrow("out of time");
});

test("what was not handed over makes room at once", async () => {
  const guard = createHandOverGuard(1);
  const startedAt = performance.now();
  (await guard.pass(never)).forgo();
  await guard.pass(never);
  expect(performance.now() - startedAt).toBeLessThan(900);
});
