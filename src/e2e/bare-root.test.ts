import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Redis } from "ioredis";
import { type BareRoot, createBareRoot, insidePid, whyNoBareRoot } from "../testing/bare-root.ts";
import { asChild, freePort, guardFolder, privateFolder, until } from "../testing/child-server.ts";
import {
  type ComposeService,
  durationMs,
  readCompose,
  readFly,
  type Settings,
} from "../testing/deployment-files.ts";
import { readImage } from "../testing/dockerfile.ts";
import { inMs, schedule, statusOf } from "../testing/email-requests.ts";
import { type PostgresServer, runOnce, startPostgres } from "../testing/postgres-server.ts";
import { type Product, runProduct, startProduct } from "../testing/product.ts";
import { createSmtpSink, type SmtpSink } from "../testing/smtp-sink.ts";

setDefaultTimeout(90_000);

const whyNot = whyNoBareRoot();
if (whyNot !== null) console.warn(`The bare root file system is NOT tested: ${whyNot}`);

const image = readImage();
const account = { user: "mailer@example.test", pass: "s3cret-of-the-smtp-account" };
const variables: Settings = {
  POSTGRES_PASSWORD: "4f1c0ffee",
  REDIS_PASSWORD: "with: signs, / and @",
  SMTP_HOST: "127.0.0.1",
  SMTP_USER: account.user,
  SMTP_PASS: account.pass,
  SMTP_TLS_CA: "/etc/ca.pem",
  ENCRYPTION_KEY: "9f2c71d40be8a6355c1e07f8d2b94a63e01d8f7c6b52a9430e7dc81f5a3692bb",
  JWT_SECRET: "a-secret-only-these-tests-know",
};
const compose = readCompose(variables);

function service(name: string): ComposeService {
  const found = compose.services[name];
  if (!found) throw new Error(`there is no service ${name}`);
  return found;
}

/** Redis by the command of the compose file; only where it listens and lives is ours. */
async function startComposedRedis(): Promise<number> {
  const folder = privateFolder("composed-redis");
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const [program = "", ...args] = service("redis").command;
  const where = ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", folder];
  const server = Bun.spawn(
    asChild([Bun.which(program) ?? program, ...args, ...where], "SIGKILL", null),
    {
      cwd: folder,
      stdout: "ignore",
      stderr: "ignore",
    },
  );
  guardFolder(folder)(server.pid);
  return port;
}

/** The user and the database that the postgres image would make of the compose file. */
async function prepareDatabase(postgres: PostgresServer): Promise<void> {
  const { POSTGRES_USER, POSTGRES_DB } = service("postgres").environment;
  await runOnce(postgres.adminUrl, `create role ${POSTGRES_USER} superuser login`);
  await runOnce(postgres.adminUrl, `create database ${POSTGRES_DB} owner ${POSTGRES_USER}`);
}

describe.skipIf(whyNot !== null)("the binary alone in an empty root, as compose runs it", () => {
  let root: BareRoot;
  let sink: SmtpSink;
  let ports: { postgres: number; redis: number };
  let backend: Product;
  let worker: Product;

  beforeAll(async () => {
    const postgres = await startPostgres();
    await prepareDatabase(postgres);
    sink = await createSmtpSink({ auth: account, isAuthRequired: true, tls: "starttls" });
    ports = { postgres: postgres.port, redis: await startComposedRedis() };
    root = createBareRoot({
      binaryPath: image.entrypoint[0] ?? "",
      user: image.user,
      dataDir: image.env.DATA_DIR ?? "",
      hosts: ["postgres", "redis"],
      files: { "/etc/ca.pem": sink.ca ?? "" },
    });
  });
  afterAll(async () => {
    await Promise.all([backend?.kill(), worker?.kill(), sink?.close()]);
  });

  /** What compose gives the container, but for ports that may be taken here, and for loopback. */
  async function composedEnv(name: string): Promise<Settings> {
    const env = { ...image.env, ...variables, ...service(name).environment };
    return {
      ...env,
      HOST: "127.0.0.1",
      PORT: `${await freePort()}`,
      SMTP_PORT: `${sink.port}`,
      REDIS_PORT: `${ports.redis}`,
      DATABASE_URL:
        env.DATABASE_URL?.replace("@postgres:5432", `@postgres:${ports.postgres}`) ?? "",
    };
  }

  async function start(name: string): Promise<{ product: Product; env: Settings }> {
    const env = await composedEnv(name);
    expect(service(name).command).toEqual(["serve"]);
    return { product: await startProduct({ bin: root.bin, env }), env };
  }

  /** The image's HEALTHCHECK. */
  async function healthOf(env: Settings): Promise<{ code: number | null; output: string }> {
    return runProduct([...image.healthcheck.command.slice(1)], { bin: root.bin, env });
  }

  test("migrates", async () => {
    const env = await composedEnv("migrate");
    const { code, output } = await runProduct([...service("migrate").command], {
      bin: root.bin,
      env,
    });
    expect([code, output]).toEqual([0, expect.stringContaining("applied")]);
    expect(output).not.toContain("missing");
  });

  test("becomes ready as an unprivileged PID 1, healthy by its own and by Fly's check", async () => {
    const started = [await start("backend"), await start("email-worker")];
    [backend, worker] = started.map(({ product }) => product) as [Product, Product];
    for (const { product, env } of started) {
      // The backend alone is degraded, since nobody would send; it sees the worker's heartbeat.
      await until(
        "both are ok",
        async () => {
          const { code, output } = await healthOf(env);
          return code === 0 && output === "ready (ok)\n";
        },
        5_000,
      );
      for (const { path } of readFly().http_service.checks) {
        expect((await fetch(`${product.url}${path}`)).status).toBe(200);
      }
      const status = readFileSync(`/proc/${insidePid(product.pid)}/status`, "utf8");
      const [uid] = image.user.split(":");
      expect(status).toMatch(new RegExp(`^Uid:\\s+${uid}\\s+${uid}\\s+${uid}\\s+${uid}$`, "m"));
      expect(status).toMatch(/^NSpid:\s+\d+\s+1$/m);
      expect(status).toMatch(/^Cap(Eff|Prm|Bnd):\s+0+$/m);
      expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
    }
  });

  test("accepts at the backend what the worker sends at its time, by TLS", async () => {
    const scheduledAt = inMs(1_500);
    const id = await schedule(backend, { subject: "From a bare root", scheduled_at: scheduledAt });
    const [accepted] = await sink.waitForAcceptances(1, 30_000);
    expect(accepted).toMatchObject({ isTls: true, user: account.user });
    expect(accepted?.at.getTime()).toBeGreaterThanOrEqual(Date.parse(scheduledAt));
    expect((await statusOf(backend, id)).attempts).toHaveLength(1);
  });

  test("its Redis lets nobody in without the password, keeps its jobs and evicts none", async () => {
    const options = { port: ports.redis, retryStrategy: () => null, lazyConnect: true };
    const stranger = new Redis(options);
    const refused = new Promise((resolve) => stranger.once("error", resolve));
    await expect(stranger.connect()).rejects.toThrow();
    expect(String(await refused)).toContain("NOAUTH");
    const redis = new Redis({ ...options, password: variables.REDIS_PASSWORD ?? "" });
    await redis.connect();
    const told = await redis.info();
    redis.disconnect();
    expect(told).toContain("aof_enabled:1");
    expect(told).toContain("maxmemory_policy:noeviction");
  });

  test("ends by SIGTERM within the grace time, and is unhealthy then", async () => {
    const grace = durationMs(service("backend").stop_grace_period);
    for (const product of [backend, worker]) {
      const startedAt = performance.now();
      process.kill(insidePid(product.pid), image.stopSignal as NodeJS.Signals);
      expect([await product.exited, product.output()]).toEqual([
        0,
        expect.stringContaining('"stopped"'),
      ]);
      expect(performance.now() - startedAt).toBeLessThan(grace);
    }
    const PORT = `${backend.port}`;
    expect(await healthOf({ PORT })).toMatchObject({ code: 1 });
  });

  test("left nothing behind in its volume", () => {
    expect(readdirSync(join(root.folder, image.env.DATA_DIR ?? ""))).toEqual([]);
  });
});
