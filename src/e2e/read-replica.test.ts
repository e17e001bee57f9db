import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHash } from "node:crypto";
import { inMs, schedule } from "../testing/product/email-requests.ts";
import { type Product, runProduct } from "../testing/product/product.ts";
import type { EmailAnswer } from "../testing/product/product-answers.ts";
import { type ProductionStack, startStack } from "../testing/product/production-stack.ts";
import { until } from "../testing/servers/child-server.ts";
import { type PostgresServer, startPostgres } from "../testing/servers/postgres-server.ts";
import { type PostgresStandby, startStandby } from "../testing/servers/postgres-standby.ts";

setDefaultTimeout(120_000);

const lagMaxMs = 3_000;
const list = "/api/v1/scheduled-emails?limit=100";

let primary: PostgresServer;
let standby: PostgresStandby;
let stack: ProductionStack;
let here: Product;
let there: Product;
let worker: Product;

beforeAll(async () => {
  primary = await startPostgres();
  const url = await primary.createDatabase("mailer");
  standby = await startStandby(primary);
  stack = await startStack({
    env: {
      DATABASE_URL: url,
      DATABASE_READ_URL: standby.urlOf(url),
      READ_LAG_MAX_MS: String(lagMaxMs),
      METRICS_TOKEN: createHash("sha256").update("metrics").digest("hex"),
    },
  });
  here = await stack.start({ ROLE: "api" });
  there = await stack.start({ ROLE: "api" });
  worker = await stack.start({ ROLE: "worker" });
  for (const product of [here, there]) await until("it serves", () => isServing(product), 30_000);
});

afterAll(async () => {
  await stack?.close();
  await standby?.stop();
  await primary?.stop();
});

async function readAs(product: Product, sub: string, path = list) {
  const token = await product.token(sub, sub === "root" ? "admin" : undefined);
  const response = await fetch(`${product.url}${path}`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const body = (await response.json()) as { data: EmailAnswer[] };
  const ids = Array.isArray(body.data) ? body.data.map(({ id }) => id) : [];
  return { status: response.status, from: response.headers.get("read-from"), ids, body };
}

interface Seen {
  status: string;
  components: { read_replica?: { status: string; detail?: string } };
}

async function healthOf(product: Product): Promise<Seen> {
  return (await (await fetch(`${product.url}/health`)).json()) as Seen;
}

async function isServing(product: Product): Promise<boolean> {
  return (await healthOf(product)).components.read_replica?.status === "ok";
}

async function metricOf(product: Product, line: RegExp): Promise<number> {
  const authorization = `Bearer ${stack.env.METRICS_TOKEN}`;
  const text = await (await fetch(`${product.url}/metrics`, { headers: { authorization } })).text();
  return Number(line.exec(text)?.[1] ?? Number.NaN);
}

/** Nobody has written anything for it lately. */
const stranger = () => `stranger-${crypto.randomUUID()}`;

describe("a streaming replica", () => {
  test("answers lists, status, audit and statistics, and says so", async () => {
    const id = await schedule(here, { scheduled_at: inMs(3_600_000) });
    await standby.caughtUp();
    const paths = [
      ...[list, `/api/v1/status/${id}`, `/api/v1/emails/${id}`, "/api/v1/queue-stats"],
      ...["/api/v1/dead-letters", "/api/v1/audit", "/api/v1/audit/verify"],
    ];
    for (const path of paths) {
      await until(`the replica answers ${path}`, async () => {
        const { status, from } = await readAs(here, "ada", path);
        expect([path, status]).toEqual([path, 200]);
        return from === "replica";
      });
    }
    expect((await readAs(here, "root", "/api/v1/owners")).from).toBe("replica");
    expect(await metricOf(here, /reads_total\{from="replica",reason=""\} (\d+)/)).toBeGreaterThan(
      5,
    );
    expect(await metricOf(here, /^taskforce_mailer_read_replica_up (\d)/m)).toBe(1);
    // Also where there is nothing to read.
    const missing = `/api/v1/status/${crypto.randomUUID()}`;
    expect(await readAs(here, "ada", missing)).toMatchObject({ status: 404, from: "replica" });
    // Credentials are the primary's, without a word.
    expect((await readAs(here, "ada", "/api/v1/api-keys")).from).toBeNull();
    expect((await healthOf(worker)).components.read_replica).toBeUndefined();
  });

  test("that is a little behind answers others, and a writer reads its own writes in every process", async () => {
    const ownWrites = async () =>
      (await metricOf(here, /reads_total\{from="primary",reason="own-write"\} (\d+)/)) || 0;
    const before = await ownWrites();
    await standby.delayReplay(1_000);
    const sub = stranger();
    for (let i = 0; i < 5; i++) {
      const made = await here.api(
        "POST",
        "/api/v1/schedule-mail",
        ownMail(),
        await here.token(sub),
      );
      const { id } = made.body.data;
      for (const product of [there, here]) {
        const own = await readAs(product, sub);
        expect(own.ids).toContain(id);
        expect(own.from).toBe("primary; reason=own-write");
      }
      const cancelled = await there.api(
        "DELETE",
        `/api/v1/cancel/${id}`,
        undefined,
        await there.token(sub),
      );
      expect(cancelled.status).toBe(200);
      const after = await readAs(here, sub, `/api/v1/status/${id}`);
      expect((after.body.data as unknown as EmailAnswer).status).toBe("cancelled");
    }
    expect((await readAs(here, stranger())).from).toBe("replica");
    // One here for each write of its own, and one after each cancel.
    expect((await ownWrites()) - before).toBe(10);
    await standby.delayReplay(0);
    await standby.caughtUp();
    await until("its own writes are there", async () => {
      return (await readAs(here, sub)).from === "replica";
    });
  });

  test("that shows nothing new is left out beyond READ_LAG_MAX_MS, and said to be", async () => {
    await standby.pauseReplay();
    const sub = stranger();
    const made = await here.api("POST", "/api/v1/schedule-mail", ownMail(), await here.token(sub));
    await until("the primary answers strangers", async () => {
      return (await readAs(here, stranger())).from === "primary; reason=lag";
    });
    expect((await readAs(there, sub)).ids).toEqual([made.body.data.id]);
    await until("/health says so", async () => {
      const { status, components } = await healthOf(here);
      const { detail = "" } = components.read_replica ?? {};
      return status === "degraded" && /^the read replica is [\d.]+ s behind/.test(detail);
    });
    expect(
      await metricOf(here, /^taskforce_mailer_read_replica_lag_seconds ([\d.]+)/m),
    ).toBeGreaterThan(2.9);
    expect(await metricOf(here, /^taskforce_mailer_read_replica_up (\d)/m)).toBe(0);
    const { output } = await runProduct(["doctor"], { env: stack.env });
    expect(output).toMatch(/read replica is more than [\d.]+ s behind/);

    await standby.resumeReplay();
    await until("the replica answers again", () => isServing(here));
    await until("its writer, too", async () => (await readAs(there, sub)).from === "replica");
    expect((await runProduct(["doctor"], { env: stack.env })).output).toMatch(
      /read replica .*follows the primary, at most \d+ ms behind/,
    );
  });

  test("that is promoted answers nobody any more: it may differ from now on", async () => {
    const [promised] = [await schedule(here, { scheduled_at: inMs(3_600_000) })];
    await standby.promote();
    await until("the primary answers", async () => {
      return (await readAs(here, stranger())).from === "primary; reason=not-a-replica";
    });
    const own = await readAs(there, "ada");
    expect(own.ids).toContain(promised);
    expect((await healthOf(here)).components.read_replica?.detail).toMatch("no replica (any more)");
    expect((await runProduct(["doctor"], { env: stack.env })).output).toMatch("is no replica");
  });

  test("that is gone costs nobody anything", async () => {
    await standby.stop();
    await until("the primary answers", async () => {
      const { status, from } = await readAs(here, stranger());
      return status === 200 && from === "primary; reason=down";
    });
    expect((await healthOf(here)).components.read_replica?.detail).toMatch("does not answer");
    expect((await healthOf(here)).status).toBe("degraded");
  });
});

/** Due much later. */
function ownMail() {
  return {
    ...{ recipients: ["bob@example.test"], subject: "Hello", body: "A few words." },
    scheduled_at: inMs(3_600_000),
  };
}
