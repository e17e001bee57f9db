import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mostWithin } from "../testing/model/sliding-window.ts";
import { scheduleBatch, statusOf, subjectOf } from "../testing/product/email-requests.ts";
import type { Product } from "../testing/product/product.ts";
import { type ProductionStack, startStack } from "../testing/product/production-stack.ts";
import { until } from "../testing/servers/child-server.ts";
import { createSmtpSink, type SmtpSink } from "../testing/servers/smtp-sink.ts";
import { replyAt } from "../testing/servers/smtp-sink-rules.ts";

setDefaultTimeout(180_000);

/** Longer than a job's lock in the queue (10 s) and its stalled check (5 s) together. */
const outageMs = 17_000;

interface TransportHealth {
  status: string;
  detail?: string;
  breaker: string;
}

async function transportHealth(product: Product): Promise<TransportHealth> {
  const health = await (await fetch(`${product.url}/health`)).json();
  return health.components.transport;
}

function subjectsOf(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `Outage ${index}`);
}

describe("an outage of the next hop", () => {
  let stack: ProductionStack;
  let back: SmtpSink | null;
  beforeEach(async () => {
    back = null;
    stack = await startStack({ env: { RETRY_BASE_MS: "1000" } });
  });
  afterEach(async () => {
    await stack?.close();
    await back?.close();
  });

  /** The next hop is there again, on the port that refused. */
  async function comeBack(): Promise<SmtpSink> {
    back = await createSmtpSink({ port: stack.sink.port });
    return back;
  }

  async function expectSentOnce(product: Product, ids: string[], sink: SmtpSink): Promise<void> {
    for (const id of ids) {
      const { attempts } = await statusOf(product, id, ["sent"], 60_000);
      expect(attempts.map(({ outcome }) => outcome)).toEqual(["sent"]);
    }
    const subjects = sink.acceptances.map(subjectOf);
    expect(subjects.toSorted()).toEqual(subjectsOf(ids.length).toSorted());
  }

  test("spends no attempt, asks seldom, says so, and ends by itself", async () => {
    const product = await stack.start();
    await stack.sink.close();
    const ids = await scheduleBatch(product, subjectsOf(300));
    await until("health tells of it", async () => {
      const { status, breaker } = await transportHealth(product);
      return status === "degraded" && breaker !== "closed";
    });
    expect((await transportHealth(product)).detail).toContain("does not answer");
    await Bun.sleep(outageMs);
    // Two a second at the longest wait of this time scale, and the first few.
    const probes = product.output().split('"transport still down"').length - 1;
    expect(probes).toBeWithin(10, (outageMs / 1_000) * 2 + 10);

    const sink = await comeBack();
    await sink.waitForAcceptances(300, 30_000);
    await expectSentOnce(product, ids, sink);
    expect(await transportHealth(product)).toMatchObject({ status: "ok", breaker: "closed" });
  });

  test("drains no faster than the limit afterwards, and hardly slower", async () => {
    const product = await stack.start({ SMTP_RATE_PER_SECOND: "20" });
    await stack.sink.close();
    const ids = await scheduleBatch(product, subjectsOf(300));
    await until("the breaker opens", async () => {
      return (await transportHealth(product)).breaker !== "closed";
    });
    // Long enough for its waits between probes to have grown.
    await Bun.sleep(5_000);
    const sink = await comeBack();
    const startedAt = performance.now();
    await sink.waitForAcceptances(300, 60_000);
    expect(performance.now() - startedAt).toBeLessThanOrEqual(1.2 * (300 / 20) * 1_000);
    // The sink notes its times in this process, which others hold up: a single second says more of
    // that. rate-limit.long.ts and the guard's own tests look at seconds.
    const times = sink.acceptances.map(({ at }) => at.getTime());
    expect(mostWithin(times, 5_000)).toBeLessThanOrEqual(1.1 * 5 * 20);
    await expectSentOnce(product, ids, sink);
  });

  test("does not hold up SIGTERM, and the next process sends what waited", async () => {
    const product = await stack.start();
    await stack.sink.close();
    const ids = await scheduleBatch(product, subjectsOf(150));
    await until("the breaker opens", async () => {
      return (await transportHealth(product)).breaker !== "closed";
    });
    const { code, tookMs } = await product.stop();
    expect(code).toBe(0);
    expect(tookMs).toBeLessThan(10_000);
    const sink = await comeBack();
    const next = await stack.start();
    await expectSentOnce(next, ids, sink);
  });
});

describe("a refused login", () => {
  const account = { SMTP_USER: "mailer@example.test", SMTP_PASS: "s3cret-of-the-smtp-account" };
  let stack: ProductionStack;
  beforeEach(async () => {
    stack = await startStack({ env: { ...account, RETRY_BASE_MS: "1000" } });
  });
  afterEach(() => stack?.close());

  test("spends no attempt, raises an alert, and recovers once the password is right", async () => {
    stack.sink.setRules(replyAt("auth", "535 5.7.8 Authentication credentials invalid"));
    const product = await stack.start();
    const ids = await scheduleBatch(product, subjectsOf(50));
    await until("health tells of it", async () => {
      return (await transportHealth(product)).status === "degraded";
    });
    expect((await transportHealth(product)).detail).toContain("refuses our login");
    expect((await transportHealth(product)).detail).toContain("535");
    expect(product.output()).toContain('"transport refuses our login"');
    stack.sink.setRules();
    // A person has to mend it, so that it is asked again after thirty seconds only.
    for (const id of ids) {
      const { attempts } = await statusOf(product, id, ["sent"], 60_000);
      expect(attempts.map(({ outcome }) => outcome)).toEqual(["sent"]);
    }
    expect((await transportHealth(product)).status).toBe("ok");
  });
});
