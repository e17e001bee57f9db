import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { Redis } from "ioredis";
import { deliveryPointNames } from "../queue/fail-points.ts";
import { schedule, statusOf, subjectOf } from "../testing/email-requests.ts";
import { faultyBinary } from "../testing/product.ts";
import { type ProductionStack, startStack } from "../testing/production-stack.ts";

setDefaultTimeout(90_000);

describe("killed at every step of a delivery", () => {
  let stack: ProductionStack;
  beforeAll(async () => {
    const built = Bun.spawnSync(["scripts/build", "--fail-points"]);
    if (built.exitCode !== 0) throw new Error(built.stderr.toString());
    stack = await startStack({ env: { SMTP_REPLY_TIMEOUT_MS: "1000" } });
  });
  afterAll(() => stack?.close());

  test.each([...deliveryPointNames])(
    "at %s the email is kept, and doubled only when uncertain",
    async (point) => {
      await emptyQueue(stack.redis.url);
      const faulty = await stack.start({ FAIL_POINTS: `${point}=kill` }, { bin: faultyBinary });
      // What is due at once is claimed as it is accepted; by the queue goes what is due later.
      const isQueued = /^(claim|job)\./.test(point);
      const later = { scheduled_at: new Date(Date.now() + 1_000).toISOString() };
      const id = await schedule(faulty, { subject: point, ...(isQueued && later) });
      await faulty.exited;
      const product = await stack.start();
      const { attempts } = await statusOf(product, id, ["sent"], 45_000);
      const outcomes = attempts.map(({ outcome }) => outcome);
      const accepted = stack.sink.acceptances.filter((one) => subjectOf(one) === point);
      // Between the fence and the settle nobody can know; everywhere else the answer is sure.
      const isUncertain = ["fence.after", "dot.after", "settle.before"].includes(point);
      expect(outcomes).toEqual(isUncertain ? ["uncertain", "sent"] : ["sent"]);
      expect(new Set(accepted.map(({ messageId }) => messageId)).size).toBe(1);
      if (!isUncertain) expect(accepted).toHaveLength(1);
      await product.kill();
    },
  );
});

/** What the point before left there would reach this one first and end the process too early. */
async function emptyQueue(url: string): Promise<void> {
  const redis = new Redis(url);
  await redis.flushall();
  redis.disconnect();
}
