import {
  afterAll,
  afterEach,
  beforeAll,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { inMs, schedule } from "../testing/product/email-requests.ts";
import type { Product } from "../testing/product/product.ts";
import { type ProductionStack, startStack } from "../testing/product/production-stack.ts";
import { until } from "../testing/servers/child-server.ts";
import {
  type SeveralRedis,
  startCluster,
  startSentinels,
} from "../testing/servers/redis-several.ts";

setDefaultTimeout(120_000);

let stack: ProductionStack;
let several: SeveralRedis;
let product: Product;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack?.close());
afterEach(async () => {
  await product?.kill();
  several?.stop();
});

/** `redis ok` when it is the queue, and takes jobs. */
async function queueOf(): Promise<string> {
  const health = (await (await fetch(`${product.url}/health`)).json()) as {
    components: { queue: { driver: string; status: string } };
  };
  const { driver, status } = health.components.queue;
  return `${driver} ${status}`;
}

/** Under a steady load, before, during and after the harm. */
async function underLoad(harm: () => Promise<void>): Promise<void> {
  product = await stack.start({ ...several.env, REDIS_URL: "" });
  await until("the queue takes jobs", async () => (await queueOf()) === "redis ok", 20_000);
  const taken = stack.sink.acceptances.length;
  const ids: string[] = [];
  const send = async (count: number) => {
    for (let i = 0; i < count; i++) {
      ids.push(await schedule(product, { subject: `${ids.length}`, scheduled_at: inMs(2_000) }));
    }
  };
  await send(20);
  const failing = harm();
  await send(40);
  await failing;
  await send(20);
  await stack.sink.waitForAcceptances(taken + ids.length, 30_000);
  await until(
    "the queue takes jobs again",
    async () => (await queueOf()) === "redis ok",
    30_000,
  ).catch(async (error: unknown) => {
    throw new Error(`${error}; ${await queueOf()}\n${product.output()}`);
  });
  const sent = stack.sink.acceptances.slice(taken).map(({ messageId }) => messageId);
  expect(new Set(sent).size).toBe(ids.length);
  expect(sent).toHaveLength(ids.length);
  await product.stop();
}

for (const isTls of [false, true]) {
  const wire = isTls ? "by TLS and with passwords for all" : "in clear";
  describe(`a Redis that fails over, ${wire}`, () => {
    test("Sentinels name another primary: nothing is lost or doubled, and the queue goes on", async () => {
      several = await startSentinels("mails", { isTls });
      await underLoad(several.failOver);
    });

    test("a Cluster promotes a replica: nothing is lost or doubled, and the queue goes on", async () => {
      several = await startCluster({ isTls });
      await underLoad(several.failOver);
    });
  });
}

test("a Cluster moves the queue's keys elsewhere: nothing is lost or doubled, and the queue goes on", async () => {
  const cluster = await startCluster({ isTls: true });
  several = cluster;
  await underLoad(cluster.reshard);
});

test("an authority that is not named is not trusted: the queue is down, and emails go out", async () => {
  several = await startSentinels("mails", { isTls: true });
  product = await stack.start({ ...several.env, REDIS_URL: "", REDIS_TLS_CA: "" });
  const taken = stack.sink.acceptances.length;
  await schedule(product, { scheduled_at: inMs(500) });
  await stack.sink.waitForAcceptances(taken + 1, 30_000);
  expect(await queueOf()).toBe("redis degraded");
  await product.stop();
});
