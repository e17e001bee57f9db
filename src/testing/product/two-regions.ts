import { type RedisServer, startRedis } from "../servers/redis-server.ts";
import type { Product } from "./product.ts";
import { type ProductionStack, startStack } from "./production-stack.ts";

/** Two regions with a Redis each, over one database and one next hop. */
export interface TwoRegions {
  readonly stack: ProductionStack;
  readonly redis: Record<"a" | "b", RedisServer>;
  /** One more process of a region. */
  start(region: "a" | "b", env?: Record<string, string>): Promise<Product>;
  close(): Promise<void>;
}

export async function startTwoRegions(): Promise<TwoRegions> {
  const [stack, other] = await Promise.all([
    startStack({ env: { SMTP_REPLY_TIMEOUT_MS: "1500" } }),
    startRedis(),
  ]);
  const redis = { a: stack.redis, b: other };
  return {
    stack,
    redis,
    start: (region, env = {}) =>
      stack.start({ REGION: region, REDIS_URL: redis[region].url, ...env }),
    async close() {
      await stack.close();
      await other.stop();
    },
  };
}
