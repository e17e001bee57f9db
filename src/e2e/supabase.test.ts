import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { simpleParser } from "mailparser";
import {
  emailRequest,
  inMs,
  schedule,
  statusOf,
  subjectOf,
} from "../testing/product/email-requests.ts";
import { type Product, runProduct } from "../testing/product/product.ts";
import { type ProductionStack, startStack } from "../testing/product/production-stack.ts";
import { until } from "../testing/servers/child-server.ts";
import { runOnce } from "../testing/servers/postgres-server.ts";
import { replyAt } from "../testing/servers/smtp-sink-rules.ts";
import { secretKey } from "../testing/servers/supabase-keys.ts";
import { type SupabaseServer, startSupabase } from "../testing/servers/supabase-server.ts";

setDefaultTimeout(60_000);

let stack: ProductionStack;
let supabase: SupabaseServer;

async function begin(isMigrated: boolean): Promise<void> {
  stack = await startStack({ isMigrated });
  supabase = await startSupabase({ databaseUrl: stack.databaseUrl });
}

async function end(): Promise<void> {
  await stack?.close();
  await supabase?.stop();
}

/** The program knows nothing but the project's API, unless more is given. */
function onSupabase(more: Record<string, string> = {}): Record<string, string> {
  const { url } = supabase;
  return {
    DATABASE_URL: "",
    SUPABASE_URL: url,
    SUPABASE_SERVICE_ROLE_KEY: secretKey,
    ...more,
  };
}

function acceptedWith(subject: string) {
  return stack.sink.acceptances.filter((acceptance) => subjectOf(acceptance) === subject);
}

function healthOf({ url }: Product) {
  return fetch(`${url}/health`).then((res) => res.json());
}

describe("the binary with supabase-js, Redis and SMTP", () => {
  let product: Product;
  beforeAll(async () => {
    await begin(true);
    product = await stack.start(onSupabase());
  });
  afterAll(end);

  test("sends at its time what was asked for", async () => {
    const file = randomBytes(2_000_000);
    const scheduledAt = inMs(2_000);
    const id = await schedule(product, {
      subject: "By Supabase",
      scheduled_at: scheduledAt,
      attachments: [{ filename: "file.bin", content: file.toString("base64") }],
    });
    const status = await statusOf(product, id);
    expect(status.attempts).toMatchObject([{ number: 1, outcome: "sent", smtp_code: 250 }]);
    const [accepted] = acceptedWith("By Supabase");
    expect(accepted?.at.getTime()).toBeGreaterThanOrEqual(Date.parse(scheduledAt));
    const message = await simpleParser(Buffer.from(accepted?.message ?? []));
    expect(message.attachments[0]?.content.equals(file)).toBe(true);
  });

  test("tries a 451 again, and a cancelled email is never sent", async () => {
    const cancelled = await schedule(product, { subject: "Never", scheduled_at: inMs(60_000) });
    expect((await product.api("DELETE", `/api/v1/cancel/${cancelled}`)).status).toBe(200);
    stack.sink.setRules(replyAt("dot", "451 4.3.0 Try again later", { times: 1 }));
    const id = await schedule(product, { subject: "Second try" });
    const { attempts } = await statusOf(product, id);
    expect(attempts.map(({ outcome }) => outcome)).toEqual(["deferred", "sent"]);
    expect(acceptedWith("Never")).toEqual([]);
  });

  test("says in /health which parts it runs on", async () => {
    expect(await healthOf(product)).toMatchObject({
      status: "ok",
      components: { database: { driver: "supabase" }, queue: { driver: "redis" } },
    });
  });

  test("stops at SIGTERM, and never wrote its key anywhere", async () => {
    const { code } = await product.stop();
    expect(code).toBe(0);
    expect(product.output()).not.toContain(secretKey);
  });
});

describe("a project without the schema", () => {
  let product: Product;
  beforeAll(async () => {
    await begin(false);
    product = await stack.start(onSupabase(), { isReadyAwaited: false });
  });
  afterAll(end);

  test("503 names the command, which without DATABASE_URL says what it needs", async () => {
    const answer = await product.api("POST", "/api/v1/schedule-mail", emailRequest());
    expect(answer).toMatchObject({ status: 503, body: { code: "database_unavailable" } });
    expect(answer.body.detail).toContain("run `taskforce-mailer migrate`");
    expect(answer.headers.get("retry-after")).toMatch(/^\d+$/);
    const health = await healthOf(product);
    expect(health.components.database.detail).toContain("taskforce-mailer migrate");
    await until("the log names it, too", () =>
      product.output().includes("taskforce-mailer migrate"),
    );

    const { code, output } = await runProduct(["migrate"], {
      env: { ...stack.env, ...onSupabase() },
    });
    expect(code).toBe(1);
    expect(output).toContain("set DATABASE_URL to the project's connection string");
    expect(output).toContain("supabase/schema.sql");
  });

  test("once it is migrated the same process works", async () => {
    const env = { ...stack.env, ...onSupabase({ DATABASE_URL: stack.databaseUrl }) };
    expect(await runProduct(["migrate"], { env })).toMatchObject({ code: 0 });
    await until(
      "it is ready",
      async () => (await fetch(`${product.url}/health/ready`)).status === 200,
    );
    await statusOf(product, await schedule(product, { subject: "After migrate" }));
    expect(acceptedWith("After migrate")).toHaveLength(1);
  });
});

describe("a key of another project", () => {
  beforeAll(() => begin(true));
  afterAll(end);

  test("503 names the variable, and nobody sees the key", async () => {
    const key = "sb_secret_FromSomewhereElse_a1b2c3d4e5";
    const env = onSupabase({ SUPABASE_SERVICE_ROLE_KEY: key });
    const product = await stack.start(env, { isReadyAwaited: false });
    const answer = await product.api("POST", "/api/v1/schedule-mail", emailRequest());
    expect(answer.status).toBe(503);
    expect(answer.body.detail).toContain("SUPABASE_SERVICE_ROLE_KEY");
    expect(answer.text + product.output()).not.toContain(key);
  });
});

describe("the queue in PostgreSQL, without Redis", () => {
  beforeAll(() => begin(false));
  afterAll(end);

  /** How many connections the queue's own pool holds, and ours. */
  function connections() {
    return runOnce(
      stack.databaseUrl,
      `select application_name as name, count(*)::int as n from pg_stat_activity
       where datname = current_database() and application_name like 'taskforce-mailer%'
       group by application_name order by application_name`,
    );
  }

  test("with SUPABASE_URL it is in the project's database, which serve migrates first", async () => {
    const product = await stack.start(
      onSupabase({ DATABASE_URL: stack.databaseUrl, REDIS_URL: "" }),
    );
    await statusOf(
      product,
      await schedule(product, { subject: "Both", scheduled_at: inMs(1_000) }),
    );
    expect(acceptedWith("Both")).toHaveLength(1);
    expect(await healthOf(product)).toMatchObject({
      components: { database: { driver: "supabase" }, queue: { driver: "postgres" } },
    });
    // Our own calls go through the project's API: no pool but the queue's.
    expect((await connections()).map(({ name }) => name)).toEqual(["taskforce-mailer queue"]);
    await product.stop();
  });

  test("DATABASE_URL alone: an API and two workers, every email once", async () => {
    const env = { REDIS_URL: "" };
    const api = await stack.start({ ...env, ROLE: "api" });
    const workers = await Promise.all([1, 2].map(() => stack.start({ ...env, ROLE: "worker" })));
    const subjects = Array.from({ length: 20 }, (_, n) => `Queue ${n}`);
    const ids = await Promise.all(
      subjects.map((subject) => schedule(api, { subject, scheduled_at: inMs(1_500) })),
    );
    for (const id of ids) await statusOf(api, id);
    expect(subjects.map((subject) => acceptedWith(subject).length)).toEqual(subjects.map(() => 1));
    expect(await healthOf(api)).toMatchObject({
      components: { database: { driver: "postgres" }, queue: { driver: "postgres" } },
    });
    for (const { name, n } of await connections()) {
      if (name === "taskforce-mailer queue") expect(n).toBeLessThanOrEqual(3 * 8);
    }
    for (const { kill } of [api, ...workers]) await kill();
  });
});
