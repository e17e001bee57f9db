import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { deliveryPointNames } from "../runtime/fail-points.ts";
import { schedule, statusOf, subjectOf } from "../testing/product/email-requests.ts";
import { faultyBinary, type Product } from "../testing/product/product.ts";
import { type ProductionStack, startStack } from "../testing/product/production-stack.ts";

setDefaultTimeout(90_000);

describe("killed at every step of a delivery", () => {
  let stack: ProductionStack;
  beforeAll(async () => {
    const built = Bun.spawnSync(["scripts/build", "--fail-points"]);
    if (built.exitCode !== 0) throw new Error(built.stderr.toString());
    stack = await startStack({ env: { SMTP_REPLY_TIMEOUT_MS: "1000" } });
  });
  afterAll(() => stack?.close());

  /** Schedules one email, and has a process die of it at the point. */
  async function dieAt(point: string): Promise<string> {
    const env = { FAIL_POINTS: `${point}=kill` };
    // Each process claims as soon as it is ready, whether or not there is anything to claim.
    if (point.startsWith("claim.")) {
      const api: Product = await stack.start({ ROLE: "api" });
      const id = await schedule(api, { subject: point });
      await api.kill();
      const options = { bin: faultyBinary, isReadyAwaited: false };
      const faulty = await stack.start({ ...env, ROLE: "worker" }, options);
      await faulty.exited;
      return id;
    }
    const faulty = await stack.start(env, { bin: faultyBinary });
    const id = await schedule(faulty, { subject: point });
    await faulty.exited;
    return id;
  }

  test.each([...deliveryPointNames])(
    "at %s the email is kept, and doubled only when uncertain",
    async (point) => {
      const id = await dieAt(point);
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
