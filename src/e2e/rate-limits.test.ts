import { expect, setDefaultTimeout, test } from "bun:test";
import { type ProductionStack, startStack } from "../testing/product/production-stack.ts";

setDefaultTimeout(90_000);

const path = "/api/v1/queue-stats";

async function statusesOf(stack: ProductionStack): Promise<number[]> {
  const env = { RATE_LIMIT_PER_MINUTE: "20" };
  const products = await Promise.all([stack.start(env), stack.start(env)]);
  const statuses: number[] = [];
  for (let n = 0; n < 30; n++) {
    const product = products[n % 2];
    statuses.push((await product?.api("GET", path))?.status ?? 0);
  }
  // A Redis that answers no more makes requests neither hang nor fail.
  stack.redis.pause();
  const startedAt = performance.now();
  statuses.push((await products[0]?.api("GET", path))?.status ?? 0);
  expect(performance.now() - startedAt).toBeLessThan(5_000);
  stack.redis.resume();
  return statuses;
}

test("two processes on one Redis let a credential through as often as one would", async () => {
  const stack = await startStack();
  try {
    const statuses = await statusesOf(stack);
    // One may hold a request of its share that is not asked for any more.
    expect(statuses.slice(0, 18)).toEqual(Array(18).fill(200));
    expect(statuses.slice(20, 30)).toEqual(Array(10).fill(429));
    expect(statuses[30]).toBeOneOf([200, 429]);
  } finally {
    await stack.close();
  }
});
