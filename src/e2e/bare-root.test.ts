import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Redis } from "ioredis";
import {
  type BareRoot,
  createBareRoot,
  insidePid,
  whyNoBareRoot,
} from "../testing/product/bare-root.ts";
import {
  type ComposeService,
  durationMs,
  readCompose,
  readFly,
  type Settings,
} from "../testing/product/deployment-files.ts";
import { readImage } from "../testing/product/dockerfile.ts";
import { inMs, schedule, statusOf } from "../testing/product/email-requests.ts";
import { type Product, runProduct, startProduct } from "../testing/product/product.ts";
import {
  asChild,
  freePort,
  guardFolder,
  privateFolder,
  until,
} from "../testing/servers/child-server.ts";
import {
  askForPasswords,
  type PostgresServer,
  runOnce,
  startPostgres,
} from "../testing/servers/postgres-server.ts";
import { createSmtpSink, type SmtpSink } from "../testing/servers/smtp-sink.ts";

setDefaultTimeout(90_000);

const whyNot = whyNoBareRoot();
if (whyNot !== null) console.warn(`The bare root file system is NOT tested: ${whyNot}`);

const image = readImage();
const account = { user: "mailer@example.test", pass: "s3cret-of-the-smtp-account" };
const variables: Settings = {
  POSTGRES_PASSWORD: "p@ss: /w?#%$",
  REDIS_PASSWORD: "with: signs, / and @",
  SMTP_HOST: "127.0.0.1",
  SMTP_FROM: account.user,
  SMTP_USER: account.user,
  SMTP_PASS: account.pass,
  SMTP_TLS_CA: "/etc/ca.pem",
  ENCRYPTION_KEY: "9f2c71d40be8a6355c1e07f8d2b94a63e01d8f7c6b52a9430e7dc81f5a3692bb",
  JWT_SECRET: "a-secret-only-these-tests-know",
};
const compose = readCompose({});

function service(name: string): ComposeService {
  const found = compose.services[name];
  if (!found) throw new Error(`there is no service ${name}`);
  return found;
}

/**
 * Redis by the command of the compose file. The image's entrypoint is stood in for by one that says
 * where it listens and lives.
 */
async function startComposedRedis(): Promise<number> {
  const folder = privateFolder("composed-redis");
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const where = `--port ${port} --bind 127.0.0.1 --dir ${folder}`;
  const entrypoint = join(folder, "docker-entrypoint.sh");
  writeFileSync(entrypoint, `#!/bin/sh\nexec "$@" ${where}\n`, { mode: 0o755 });
  const server = Bun.spawn(asChild([...service("redis").command], "SIGKILL", null), {
    cwd: folder,
    env: { ...variables, PATH: `${folder}:${process.env.PATH}` },
    stdout: "ignore",
    stderr: "ignore",
  });
  guardFolder(folder)(server.pid);
  return port;
}

/** The user and the database that the postgres image would make of the compose file. */
async function prepareDatabase(postgres: PostgresServer): Promise<void> {
  const { POSTGRES_USER, POSTGRES_DB } = service("postgres").environment;
  await runOnce(postgres.adminUrl, `create role ${POSTGRES_USER} superuser login`);
  await runOnce(postgres.adminUrl, `create database ${POSTGRES_DB} owner ${POSTGRES_USER}`);
  await askForPasswords(postgres, service("migrate").environment.POSTGRES_RUN_TIME_USER ?? "");
}

describe.skipIf(whyNot !== null)("the binary alone in an empty root, as compose runs it", () => {
  let root: BareRoot;
  let postgres: PostgresServer;
  let sink: SmtpSink;
  let ports: { postgres: number; redis: number };
  let backend: Product;
  let worker: Product;

  beforeAll(async () => {
    postgres = await startPostgres();
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
      POSTGRES_PORT: `${ports.postgres}`,
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

  test("runs as a user of the database who may call the program's functions and nothing else", async () => {
    const {
      POSTGRES_USER,
      POSTGRES_DB,
      POSTGRES_RUN_TIME_USER: name,
    } = service("migrate").environment;
    const url = new URL(postgres.adminUrl);
    url.username = POSTGRES_USER ?? "";
    url.pathname = `/${POSTGRES_DB}`;
    const seen = await runOnce(
      url.href,
      `select distinct usename from pg_stat_activity
       where application_name like 'taskforce-mailer%'`,
    );
    expect(seen).toEqual([{ usename: name }]);
    const [may] = await runOnce(
      url.href,
      `select rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls as more,
         array(select r.rolname::text from pg_auth_members m join pg_roles r on r.oid = m.roleid
           where m.member = u.oid) as roles,
         array(select p.proname::text from pg_proc p where p.pronamespace in
           ('mailer'::regnamespace, 'mailer_api'::regnamespace)
           and has_function_privilege(u.oid, p.oid, 'execute')
           and has_schema_privilege(u.oid, p.pronamespace, 'usage')) as functions,
         array(select c.relname::text from pg_class c where c.relnamespace = 'mailer'::regnamespace
           and c.relkind = 'r' and has_table_privilege(u.oid, c.oid, 'select')) as tables,
         has_schema_privilege(u.oid, 'mailer', 'usage') as schema
       from pg_roles u where rolname = '${name}'`,
    );
    expect(may).toEqual({
      ...{ more: false, roles: ["mailer_client"], functions: ["call_as"], tables: [] },
      schema: false,
    });
    // No process that runs has the password of the user who migrates.
    for (const one of ["backend", "email-worker"]) {
      expect(service(one).environment.POSTGRES_PASSWORD).toBe("");
    }
    const doctor = await runProduct(["doctor"], {
      bin: root.bin,
      env: await composedEnv("backend"),
    });
    expect(doctor.output).toMatch(/schema.*migrations are applied/);
    expect(doctor.output).not.toMatch(/permission denied/);
    const refused = await runProduct(["migrate"], {
      bin: root.bin,
      env: await composedEnv("backend"),
    });
    expect([refused.code, refused.output]).toEqual([
      1,
      expect.stringContaining("POSTGRES_PASSWORD is not set"),
    ]);
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
