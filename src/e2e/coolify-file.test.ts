import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { loadConfig } from "../config.ts";
import { configVariables } from "../config-variables.ts";
import {
  coolifyPath,
  durationMs,
  readCompose,
  readCoolify,
  readText,
  type Settings,
} from "../testing/product/deployment-files.ts";
import { readImage } from "../testing/product/dockerfile.ts";
import { schedule, statusOf } from "../testing/product/email-requests.ts";
import { startProduct } from "../testing/product/product.ts";
import { freePort } from "../testing/servers/child-server.ts";
import { askForPasswords, runOnce, startPostgres } from "../testing/servers/postgres-server.ts";
import { startRedis } from "../testing/servers/redis-server.ts";
import { createSmtpSink } from "../testing/servers/smtp-sink.ts";

setDefaultTimeout(90_000);

/** Coolify kills a deployment's old container then, unless the application says another time. */
const coolifyStopMs = 30_000;
/** Time left to close connections and write the last lines after the drain. */
const marginMs = 5_000;

const text = readText(coolifyPath);
const known = new Set<string>(configVariables.map(({ name }) => name));
const image = readImage();
const asked = [...new Set(Array.from(text.matchAll(/(?<!\$)\$\{(\w+)/g), ([, name = ""]) => name))];

/** As Coolify 4.3 generates it: SERVICE_<TYPE>_<NAME>, whose name has no underscore of its own. */
function generated(name: string): string {
  const [, type = ""] = /^SERVICE_(.+)_[A-Z0-9]+$/.exec(name) ?? [];
  switch (type) {
    case "URL":
      return "https://mailer.example.com";
    case "PASSWORD_64":
      return "x7Qd2mVb".repeat(8);
    case "HEX_64":
      return "9f2c71d40be8a635".repeat(4);
    default:
      throw new Error(`Coolify generates nothing for ${name}`);
  }
}

const magic = asked.filter((name) => name.startsWith("SERVICE_"));
/** Everything that the person fills in before the first deployment. */
const filledIn: Settings = {
  SMTP_HOST: "smtp.example.com",
  SMTP_USER: "mailer@example.com",
  SMTP_PASS: "an-app-password",
  SMTP_FROM: "no-reply@example.com",
};
const variables: Settings = {
  ...Object.fromEntries(magic.map((name) => [name, generated(name)])),
  ...filledIn,
};
const coolify = readCoolify(variables);

function service(name: string) {
  const found = coolify.services[name];
  if (!found) throw new Error(`there is no service ${name}`);
  return found;
}

/** Coolify hands all of its variables to every container, by an env_file; `environment` wins. */
function envOf(name: string): Settings {
  return { ...image.env, ...variables, ...service(name).environment };
}

describe("scripts/coolify/compose.yml", () => {
  test("sets and asks for no variable that the program does not know", () => {
    expect(Object.keys(service("mailer").environment).filter((name) => !known.has(name))).toEqual(
      [],
    );
    expect(asked.filter((name) => !magic.includes(name) && !known.has(name))).toEqual([]);
  });

  test("asks the person for the SMTP account alone", () => {
    const rest = asked.filter((name) => !magic.includes(name));
    expect(rest.toSorted()).toEqual([...Object.keys(filledIn), "SMTP_PORT", "SMTP_SECURE"].sort());
    for (const name of ["SMTP_HOST", "SMTP_FROM"]) {
      expect(() => readCoolify({ ...variables, [name]: "" })).toThrow(`${name} is required`);
    }
  });

  test("has a secret generated for each that the program needs, and no two alike", () => {
    const env = service("mailer").environment;
    const secrets = ["POSTGRES_PASSWORD", "REDIS_PASSWORD", "ENCRYPTION_KEY", "JWT_SECRET"];
    const sources = secrets.map((name) => new RegExp(`- ${name}=\\$\\{(\\w+)\\}`).exec(text)?.[1]);
    expect(sources.every((name) => name?.startsWith("SERVICE_"))).toBe(true);
    expect(new Set(sources).size).toBe(secrets.length);
    expect(env.ENCRYPTION_KEY).toMatch(/^[0-9a-f]{64}$/);
    // No other secret is written into the file.
    const given = configVariables.filter(({ name, isSecret }) => isSecret && env[name]);
    expect(given.map(({ name }): string => name).sort()).toEqual([...secrets, "SMTP_PASS"].sort());
  });

  test("gives a configuration without a fault or a warning, by its own database and queue", () => {
    const config = loadConfig(envOf("mailer"));
    expect(config.warnings).toEqual([]);
    expect(config).toMatchObject({ role: "all", isProduction: true, autoMigrate: true });
    expect(config.http).toMatchObject({ port: 3000, host: "0.0.0.0" });
    expect(config.http.trustProxy).toEqual({ kind: "hops", hops: 1 });
    expect(config.database).toMatchObject({
      driver: "postgres",
      url: `postgresql://mailer:${generated("SERVICE_PASSWORD_64_X")}@postgres:5432/mailer`,
    });
    const redis = `redis://:${generated("SERVICE_PASSWORD_64_X")}@redis:6379`;
    expect(config.queue).toEqual({
      driver: "redis",
      place: { kind: "single", url: redis },
    } as never);
    expect(config.transport).toMatchObject({ kind: "smtp", host: "smtp.example.com", port: 587 });
  });

  test("the image's user and database are those that the program asks for", () => {
    const { POSTGRES_USER, POSTGRES_DB, POSTGRES_PASSWORD } = service("mailer").environment;
    expect(service("postgres").environment).toMatchObject({
      POSTGRES_USER,
      POSTGRES_DB,
      POSTGRES_PASSWORD,
    });
    expect(service("redis").environment.REDIS_PASSWORD).toBe(envOf("mailer").REDIS_PASSWORD ?? "-");
  });

  test("Coolify's proxy reaches the port that the program listens on, and nothing else is open", () => {
    expect(text).toContain(`- SERVICE_URL_MAILER_${image.port}\n`);
    for (const { ports } of Object.values(coolify.services)) expect(ports).toEqual([]);
  });

  test("is built from the repository's Dockerfile, and healthy by the image's own check", () => {
    expect(service("mailer")).toMatchObject({ build: ".", command: image.command });
    const { healthcheck } = service("mailer");
    const { test: command = [] } = "test" in healthcheck ? healthcheck : {};
    expect(command).toEqual(["CMD", ...image.healthcheck.command]);
    for (const { healthcheck: check } of Object.values(coolify.services))
      expect(check).toHaveProperty("test");
  });

  test("starts the program once database and Redis are healthy", () => {
    expect(service("mailer").depends_on).toEqual({
      postgres: { condition: "service_healthy" },
      redis: { condition: "service_healthy" },
    });
  });

  test("lets a drain end before Docker or Coolify kills", () => {
    const { drainTimeoutMs } = loadConfig(envOf("mailer"));
    expect(drainTimeoutMs + marginMs).toBeLessThan(coolifyStopMs);
    expect(durationMs(service("mailer").stop_grace_period)).toBeGreaterThan(drainTimeoutMs);
  });

  test("keeps what must be kept, and lets the program write nowhere else", () => {
    expect(service("mailer")).toMatchObject({
      read_only: true,
      tmpfs: "/tmp",
      cap_drop: ["ALL"],
      security_opt: ["no-new-privileges:true"],
      volumes: [`mailer-data:${image.env.DATA_DIR}`],
    });
    expect(service("redis").volumes).toEqual(["redis-data:/data"]);
    expect(service("postgres").volumes).toEqual(["postgres-data:/var/lib/postgresql/data"]);
    expect(Object.keys(coolify.volumes)).toEqual(["mailer-data", "redis-data", "postgres-data"]);
  });

  test("its Redis and PostgreSQL are those of the compose file, with a password and AOF", () => {
    const compose = readCompose({});
    for (const name of ["redis", "postgres"]) {
      expect(service(name).image).toBe(compose.services[name]?.image ?? "none");
    }
    const [shell = "", ...args] = service("redis").command;
    expect(args.join(" ")).toMatch(/--appendonly yes .*--maxmemory-policy noeviction/);
    const env = { PATH: "/usr/bin:/bin" };
    const { exitCode, stderr } = Bun.spawnSync([shell, ...args], { env });
    expect(exitCode).not.toBe(0);
    expect(stderr.toString()).toContain("REDIS_PASSWORD: is not set");
  });
});

describe("the compiled binary with the settings of that file", () => {
  const ends: (() => Promise<unknown>)[] = [];
  afterAll(async () => {
    for (const end of ends.toReversed()) await end();
  });

  test("migrates an empty database, is ready and sends", async () => {
    const account = { user: "mailer@example.com", pass: filledIn.SMTP_PASS ?? "" };
    const postgres = await startPostgres();
    const redis = await startRedis();
    const sink = await createSmtpSink({ auth: account, tls: "none" });
    ends.push(postgres.stop, redis.stop, () => sink.close());
    const env = envOf("mailer");
    await runOnce(
      postgres.adminUrl,
      `create role ${env.POSTGRES_USER} superuser login password '${env.POSTGRES_PASSWORD}'`,
    );
    await runOnce(
      postgres.adminUrl,
      `create database ${env.POSTGRES_DB} owner ${env.POSTGRES_USER}`,
    );
    await askForPasswords(postgres, env.POSTGRES_USER ?? "");
    const product = await startProduct({
      env: {
        ...env,
        ...{ HOST: "127.0.0.1", PORT: `${await freePort()}`, DATA_DIR: "/nonexistent" },
        ...{ POSTGRES_HOST: "127.0.0.1", POSTGRES_PORT: `${postgres.port}` },
        // This Redis asks nobody for a password.
        ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: `${redis.port}`, REDIS_PASSWORD: "" },
        ...{ SMTP_HOST: "127.0.0.1", SMTP_PORT: `${sink.port}` },
      },
    });
    ends.push(product.stop);
    const id = await schedule(product);
    expect((await statusOf(product, id)).attempts).toHaveLength(1);
  });
});
