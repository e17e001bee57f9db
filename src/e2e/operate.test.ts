import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { DoctorReport } from "../cli/doctor/print-report.ts";
import { schedule, statusOf } from "../testing/product/email-requests.ts";
import {
  guardedFolder,
  type Product,
  runProduct,
  startProduct,
} from "../testing/product/product.ts";
import { type ProductionStack, startStack } from "../testing/product/production-stack.ts";

setDefaultTimeout(90_000);

function lineOf(text: string, series: string): string | undefined {
  return text.split("\n").find((line) => line.startsWith(`taskforce_mailer_${series} `));
}

describe("the embedded database", () => {
  const dataDir = guardedFolder("operate");
  let product: Product;
  beforeAll(async () => {
    product = await startProduct({ dataDir });
  });
  afterAll(() => product?.kill());

  async function doctor(...args: string[]) {
    const { code, output } = await runProduct(["doctor", "--json", ...args], { dataDir });
    return { code, report: JSON.parse(output) as DoctorReport };
  }

  test("while the server has it, doctor asks the server, which reconciles when told to", async () => {
    const path = join(dataDir, "server.json");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({ url: product.url, pid: product.pid });
    const { code, report } = await doctor("--fix");
    expect(report.checks.filter(({ status }) => status === "failed")).toEqual([]);
    expect([code, report.server]).toEqual([0, product.url]);
    expect(report.checks.map(({ check }) => check)).toContain("encryption key");
    expect(report.fix).toMatchObject({ dead_workers: 0, taken_over: 0, poison_held: 0 });
  });

  test("metrics count what it did, and are for admins", async () => {
    await statusOf(product, await schedule(product, { subject: "Counted" }));
    expect((await product.api("GET", "/metrics")).status).toBe(403);
    const { text } = await product.api(
      "GET",
      "/metrics",
      undefined,
      await product.token("a", "admin"),
    );
    expect(lineOf(text, 'attempts_total{outcome="sent"}')).toEndWith(" 1");
    expect(lineOf(text, "lateness_seconds_count")).toEndWith(" 1");
    expect(lineOf(text, "database_up")).toEndWith(" 1");
    expect(lineOf(text, "queue_up")).toEndWith(" 1");
  });

  test("only an admin may look or reconcile over HTTP", async () => {
    expect((await product.api("GET", "/api/v1/doctor")).status).toBe(403);
    expect((await product.api("POST", "/api/v1/reconcile")).status).toBe(403);
  });

  test("once the server has stopped, doctor looks itself, and the address is gone", async () => {
    await product.stop();
    expect(existsSync(join(dataDir, "server.json"))).toBe(false);
    const { code, report } = await doctor("--fix");
    expect(report.checks.filter(({ status }) => status === "failed")).toEqual([]);
    expect([code, report.server]).toEqual([0, null]);
    expect(report.fix).toMatchObject({ dead_workers: 0, taken_over: 0 });
  });
});

describe("a process that only works", () => {
  let stack: ProductionStack;
  beforeAll(async () => {
    stack = await startStack();
  });
  afterAll(() => stack?.close());

  test("serves its metrics and health, and nothing else", async () => {
    const token = "a-token-for-prometheus-only";
    const worker = await stack.start({ ROLE: "worker", METRICS_TOKEN: token });
    const get = (path: string, bearer: string) =>
      fetch(`${worker.url}${path}`, { headers: { authorization: `Bearer ${bearer}` } });
    const text = await (await get("/metrics", token)).text();
    const transport = `127.0.0.1:${stack.sink.port}`;
    const closed = `transport_breaker_state{transport="${transport}",state="closed"}`;
    expect(lineOf(text, closed)).toEndWith(" 1");
    expect(text).toContain('role="worker"');
    expect((await get("/metrics", "another-token-altogether")).status).toBe(401);
    const admin = await worker.token("root", "admin");
    expect((await get("/metrics", admin)).status).toBe(200);
    expect((await get("/api/v1/queue-stats", admin)).status).toBe(404);
  });
});
