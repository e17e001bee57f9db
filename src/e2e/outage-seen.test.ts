import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { Redis } from "ioredis";
import type { DoctorReport } from "../cli/doctor/print-report.ts";
import { inMs, schedule, statusOf } from "../testing/product/email-requests.ts";
import { type Product, runProduct } from "../testing/product/product.ts";
import { type ProductionStack, startStack } from "../testing/product/production-stack.ts";
import { until } from "../testing/servers/child-server.ts";
import { replyAt } from "../testing/servers/smtp-sink-rules.ts";

setDefaultTimeout(60_000);

const metricsToken = "a-token-only-these-tests-know";

/** The shape of the compose file: what accepts and what sends are processes apart. */
let stack: ProductionStack;
let api: Product;
beforeAll(async () => {
  // Probes that come seldom: an outage is seen by its own time.
  stack = await startStack({ env: { RETRY_BASE_MS: "20000", METRICS_TOKEN: metricsToken } });
  api = await stack.start({ ROLE: "api" });
});
afterAll(() => stack?.close());

async function health() {
  return await (await fetch(`${api.url}/health`)).json();
}

async function metric(series: string): Promise<number | null> {
  const headers = { Authorization: `Bearer ${metricsToken}` };
  const text = await (await fetch(`${api.url}/metrics`, { headers })).text();
  const line = text.split("\n").find((one) => one.startsWith(`taskforce_mailer_${series} `));
  return line === undefined ? null : Number(line.split(" ").at(-1));
}

async function doctor() {
  const { output } = await runProduct(["doctor", "--json"], { env: stack.env });
  const { checks } = JSON.parse(output) as DoctorReport;
  return checks.filter(({ status }) => status !== "ok");
}

test("without any worker the API says so, and doctor", async () => {
  const { status, components } = await health();
  expect(status).toBe("degraded");
  expect(components.workers).toEqual({
    status: "degraded",
    detail: expect.stringContaining("no process that sends is alive"),
  });
  const work = (await doctor()).find(({ check }) => check === "work");
  expect(work?.advice).toContain("nobody sends");
});

test("a next hop that is down for the worker is down in the API's health, with its words", async () => {
  await stack.start({ ROLE: "worker" });
  await until("the worker counts", async () => (await health()).status === "ok");
  stack.sink.setRules(replyAt("greeting", "421 4.3.2 closed for maintenance"));
  const dueAt = performance.now();
  const id = await schedule(api);
  await until(
    "the API knows",
    async () => (await health()).components.transport.breaker !== "closed",
  );
  expect(performance.now() - dueAt).toBeLessThan(20_000);
  const { status, components } = await health();
  expect(status).toBe("degraded");
  expect(components.transport).toMatchObject({
    status: "degraded",
    detail: expect.stringContaining("421"),
    since: expect.any(String),
  });
  expect(components.reconciler.status).toBe("ok");
  expect(await metric(`transport_up{transport="127.0.0.1:${stack.sink.port}"}`)).toBe(0);
  const told = (await doctor()).find(({ check }) => check === "transport");
  expect(told).toMatchObject({ status: "failed", saw: expect.stringContaining("421") });

  // Each probe gives the email back, to be tried later: it is due all the same.
  await until("it was given back after its time", async () => {
    const { text } = await api.api("GET", "/api/v1/queue-stats");
    const { waiting, delayed, oldest_due_ms: oldestMs } = JSON.parse(text).data;
    return waiting === 1 && delayed === 0 && oldestMs > 3_000;
  });
  stack.sink.setRules();
  const { attempts } = await statusOf(api, id, ["sent"], 40_000);
  expect(attempts).toHaveLength(1);
  await until("and it is over", async () => (await health()).status === "ok");
});

test("a Redis that refuses writes is told by everybody, and what is due goes out", async () => {
  const redis = new Redis(stack.redis.url);
  await redis.config("SET", "maxmemory", "1");
  const id = await schedule(api, { scheduled_at: inMs(500) });
  await statusOf(api, id, ["sent"], 30_000);
  const { components } = await health();
  expect(components.queue).toMatchObject({
    status: "degraded",
    detail: expect.stringMatching(/^Redis refuses writes \(OOM\): .*raise maxmemory/),
  });
  // It takes emails, and sends them.
  expect((await fetch(`${api.url}/health/ready`)).status).toBe(200);
  await until("it is not up", async () => (await metric("queue_up")) === 0, 15_000);
  const findings = (await doctor()).filter(({ check }) => check === "queue");
  expect(findings.map(({ status }) => status)).toContain("failed");
  await redis.config("SET", "maxmemory", "0");
  redis.disconnect();
  await until("and it is over", async () => (await health()).components.queue.status === "ok");
});
