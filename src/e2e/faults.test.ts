import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { Redis } from "ioredis";
import { schedule, scheduleBatch, statusOf, subjectOf } from "../testing/product/email-requests.ts";
import type { Product } from "../testing/product/product.ts";
import { type ProductionStack, startStack } from "../testing/product/production-stack.ts";
import { acceptThenDrop, type SinkRule } from "../testing/servers/smtp-sink-rules.ts";

setDefaultTimeout(90_000);

/** Holds the next hop at one phase until it is released. */
function gateAt(phase: "rcpt" | "dot"): { rule: SinkRule; open: () => void } {
  const gate = Promise.withResolvers<void>();
  return {
    rule: (step) => (step.phase === phase ? { do: "wait", until: gate.promise } : null),
    open: gate.resolve,
  };
}

describe("stops and crashes", () => {
  let stack: ProductionStack;
  let product: Product;
  beforeAll(async () => {
    stack = await startStack({
      env: { SMTP_REPLY_TIMEOUT_MS: "1500", DRAIN_TIMEOUT_MS: "10000", SMTP_POOL_SIZE: "4" },
    });
    product = await stack.start();
  });
  afterAll(() => stack?.close());

  function acceptedWith(subject: string) {
    return stack.sink.acceptances.filter((acceptance) => subjectOf(acceptance) === subject);
  }

  test("SIGTERM under load ends in time, and every email goes out exactly once", async () => {
    const subjects = Array.from({ length: 300 }, (_, index) => `Load ${index}`);
    // A slow next hop, so that the signal meets conversations in every phase.
    stack.sink.setRules(({ phase }) =>
      phase === "dot" ? { do: "wait", until: Bun.sleep(20) } : null,
    );
    const ids = await scheduleBatch(product, subjects);
    await stack.sink.waitForAcceptances(stack.sink.acceptances.length + 20);
    const { code, tookMs } = await product.stop();
    expect(code).toBe(0);
    expect(tookMs).toBeLessThan(11_000);
    expect(stack.sink.acceptances.length).toBeLessThan(300);

    product = await stack.start();
    for (const id of ids) {
      const { attempts } = await statusOf(product, id, ["sent"], 60_000);
      // Released emails have spent no attempt.
      expect(attempts.map(({ outcome }) => outcome)).toEqual(["sent"]);
    }
    for (const subject of subjects) expect(acceptedWith(subject)).toHaveLength(1);
  });

  test("an email whose worker is killed before the fence is sent by another within seconds", async () => {
    const gate = gateAt("rcpt");
    const seen = stack.sink.steps.filter(({ phase }) => phase === "rcpt").length;
    stack.sink.setRules(gate.rule);
    const id = await schedule(product, { subject: "Orphan" });
    await stack.sink.waitForPhase("rcpt", seen + 1);
    const killedAt = performance.now();
    await product.kill();
    stack.sink.setRules();
    gate.open();

    product = await stack.start();
    const status = await statusOf(product, id, ["sent"], 30_000);
    expect(performance.now() - killedAt).toBeLessThan(20_000);
    expect(status.attempts.map(({ outcome }) => outcome)).toEqual(["sent"]);
    expect(acceptedWith("Orphan")).toHaveLength(1);
  });

  test("a lost reply is an uncertain attempt, tried again with the same bytes", async () => {
    stack.sink.setRules(acceptThenDrop({ times: 1 }));
    const id = await schedule(product, { subject: "Lost reply" });
    const status = await statusOf(product, id, ["sent"], 30_000);
    expect(status.attempts.map(({ outcome }) => outcome)).toEqual(["uncertain", "sent"]);
    const [first, second] = acceptedWith("Lost reply");
    expect(Buffer.from(first?.message ?? []).equals(Buffer.from(second?.message ?? [1]))).toBe(
      true,
    );
  });

  test("a lost reply under on_uncertain: hold waits for a person and is never doubled", async () => {
    stack.sink.setRules(acceptThenDrop({ times: 1 }));
    const id = await schedule(product, { subject: "Held", on_uncertain: "hold" });
    const status = await statusOf(product, id, ["uncertain"]);
    expect(status.attempts.map(({ outcome }) => outcome)).toEqual(["uncertain"]);
    const later = await schedule(product, { subject: "After held" });
    await statusOf(product, later);
    expect(acceptedWith("Held")).toHaveLength(1);
  });

  test("a worker killed behind the fence leaves an uncertain attempt, and the email is sent", async () => {
    const gate = gateAt("dot");
    const seen = stack.sink.steps.filter(({ phase }) => phase === "dot").length;
    stack.sink.setRules(gate.rule);
    const id = await schedule(product, { subject: "Fenced orphan" });
    await stack.sink.waitForPhase("dot", seen + 1);
    await product.kill();
    // What the dead worker had handed over is not taken: the next hop saw its connection die.
    stack.sink.dropConnections();
    stack.sink.setRules();

    product = await stack.start();
    const status = await statusOf(product, id, ["sent"], 40_000);
    expect(status.attempts.map(({ outcome }) => outcome)).toEqual(["uncertain", "sent"]);
    gate.open();
  });

  test("accepts while Redis is gone, and sends once it is back", async () => {
    stack.sink.setRules();
    await stack.redis.kill();
    const id = await schedule(product, { subject: "Without Redis" });
    const health = await fetch(`${product.url}/health`);
    expect(health.status).toBe(200);
    await stack.redis.restart();
    await statusOf(product, id, ["sent"], 30_000);
    expect(acceptedWith("Without Redis")).toHaveLength(1);
  });

  test("a flushed Redis loses no email", async () => {
    const id = await schedule(product, {
      subject: "Flushed",
      scheduled_at: new Date(Date.now() + 3_000).toISOString(),
    });
    await flush(stack.redis.url);
    await statusOf(product, id, ["sent"], 30_000);
    expect(acceptedWith("Flushed")).toHaveLength(1);
  });

  test("SIGTERM ends in time when Redis is down", async () => {
    await stack.redis.kill();
    const { tookMs } = await product.stop();
    expect(tookMs).toBeLessThan(12_000);
    await stack.redis.restart();
    product = await stack.start();
  });
});

async function flush(url: string): Promise<void> {
  const redis = new Redis(url);
  await redis.flushall();
  redis.disconnect();
}
