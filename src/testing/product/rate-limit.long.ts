import { afterEach, expect, test } from "bun:test";
import { mostWithin } from "../model/sliding-window.ts";
import { scheduleBatch } from "./email-requests.ts";
import type { Product } from "./product.ts";
import { type ProductionStack, startStack } from "./production-stack.ts";

/** A provider's limit, kept for a minute with more due than it lets through; printed. */
const ratePerSecond = 14;
const measuredMs = 60_000;
const dueCount = 1_000;

let stack: ProductionStack | null = null;
afterEach(() => stack?.close());

async function measure(processes: number): Promise<{ share: number; most: number }> {
  stack = await startStack({ env: { SMTP_RATE_PER_SECOND: String(ratePerSecond) } });
  const [product, ...others] = await startAll(stack, processes);
  if (!product) throw new Error("no process");
  const subjects = Array.from({ length: dueCount / 2 }, (_, index) => `Rate ${index}`);
  await scheduleBatch(product, subjects);
  await scheduleBatch(others[0] ?? product, subjects);
  const { sink } = stack;
  await sink.waitForAcceptances(1, 30_000);
  await Bun.sleep(measuredMs + 2_000);
  const times = sink.acceptances.map(({ at }) => at.getTime());
  // From the first acceptance on: what went before it was no sending.
  const first = times[0] ?? 0;
  const count = times.filter((at) => at < first + measuredMs).length;
  const share = count / ((ratePerSecond * measuredMs) / 1_000);
  const most = mostWithin(times, 1_000);
  console.log(
    `${processes} process(es): ${count} in 60 s, share ${share.toFixed(3)}, most ${most}`,
  );
  return { share, most };
}

async function startAll(on: ProductionStack, count: number): Promise<Product[]> {
  return Promise.all(Array.from({ length: count }, () => on.start()));
}

test("of one process: no sliding second over the limit, hardly below it", async () => {
  const { share, most } = await measure(1);
  expect(most).toBeLessThanOrEqual(ratePerSecond);
  expect(share).toBeLessThanOrEqual(1);
  expect(share).toBeGreaterThanOrEqual(0.97);
}, 200_000);

test("of two processes together: no sliding second over the limit, little below it", async () => {
  const { share, most } = await measure(2);
  expect(most).toBeLessThanOrEqual(ratePerSecond);
  expect(share).toBeLessThanOrEqual(1);
  expect(share).toBeGreaterThanOrEqual(0.94);
}, 200_000);
