import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import packageJson from "../../package.json" with { type: "json" };
import { runCommandLine } from "../cli/commands.ts";
import { loadConfig } from "../config.ts";
import { configVariables } from "../config-variables.ts";
import {
  durationMs,
  readCompose,
  readEnvFile,
  readFly,
  readText,
  type Settings,
} from "../testing/product/deployment-files.ts";
import {
  buildContext,
  readImage,
  readStages,
  runBuildStage,
} from "../testing/product/dockerfile.ts";
import { productBinary } from "../testing/product/product.ts";
import { privateFolder } from "../testing/servers/child-server.ts";

setDefaultTimeout(120_000);

const image = readImage();
const fly = readFly();
const known = new Set<string>(configVariables.map(({ name }) => name));
const secretNames = configVariables.filter(({ isSecret }) => isSecret).map(({ name }) => name);
/** Time left to close connections and write the last lines after the drain. */
const marginMs = 5_000;

/** `.env.production` as somebody would fill in `.env.example`. */
const envFile: Settings = {
  ...readEnvFile(".env.example"),
  POSTGRES_PASSWORD: "p@ss: /w?#%$",
  REDIS_PASSWORD: "with: $igns, / and @",
  PUBLIC_URL: "https://mailer.example.com",
  // Commented out there; compose must not heed them.
  DATABASE_URL: "postgresql://mailer:password@db.example.com:5432/mailer?sslmode=verify-full",
  REDIS_URL: "rediss://:password@redis.example.com:6379",
  SMTP_PASS: "an-app-password",
  ENCRYPTION_KEY: "9f2c71d40be8a6355c1e07f8d2b94a63e01d8f7c6b52a9430e7dc81f5a3692bb",
  JWT_SECRET: "a-secret-only-these-tests-know",
};
/** Exactly the names that the documentation has for `.env.production`. */
const documented: Settings = {
  POSTGRES_PASSWORD: "p@ss: /w?#%$",
  REDIS_PASSWORD: "with: $igns, / and @",
  JWT_SECRET: envFile.JWT_SECRET ?? "",
  SMTP_USER: "ada@gmail.com",
  SMTP_PASS: "abcd efgh ijkl mnop",
  ENCRYPTION_KEY: envFile.ENCRYPTION_KEY ?? "",
};
// Nothing is set for Compose itself: no --env-file, no exported variable.
const compose = readCompose({});
const ours = ["backend", "email-worker", "migrate"];

function service(name: string) {
  const found = compose.services[name];
  if (!found) throw new Error(`there is no service ${name}`);
  return found;
}

/** The environment of a container: image, then env_file, then environment. */
function composedEnv(name: string, file = envFile): Settings {
  return { ...image.env, ...file, ...service(name).environment };
}

function unknownIn(settings: object): string[] {
  return Object.keys(settings).filter((name) => !known.has(name));
}

/** Exit code of `--help`: 0 for a command that exists. */
function helpOf(command: readonly string[]): Promise<number> {
  const silent = { write: () => {} };
  const io = { stdout: silent, stderr: silent, env: {}, isTty: false };
  return runCommandLine([...command, "--help"], io);
}

describe("the image", () => {
  const folder = privateFolder("image");
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("is built with the Bun that package.json names", () => {
    const [from] = readStages()[0] ?? [];
    expect(from?.rest).toBe(`oven/bun:${packageJson.engines.bun.replace(">=", "")} AS build`);
  });

  test("its build stage makes a working binary of no more than the build context", async () => {
    mkdirSync(folder, { recursive: true });
    const { PATH = "", HOME = "" } = process.env;
    await runBuildStage(folder, { PATH, HOME });
    const [binary, data] = image.copies.map(({ from }) => join(folder, from.replace("/build", "")));
    expect(existsSync(data ?? "")).toBe(true);
    const { exitCode, stdout } = Bun.spawnSync([binary ?? "", "version"], { env: {} });
    expect([exitCode, stdout.toString()]).toEqual([0, `${packageJson.version}\n`]);
  }, 240_000);

  test("its build context holds no secrets, data, tests or history", () => {
    const context = buildContext();
    expect(context).toContain("bun.lock");
    const wrong = /(^|\/)(\.env.*|\.git|node_modules|dist|data|testing|[^/]*\.test\.ts)(\/|$)/;
    expect(context.filter((path) => wrong.test(path))).toEqual([]);
  });

  test("needs nothing of its base but glibc", () => {
    expect(image.base).toMatch(/^gcr\.io\/distroless\/base.*-debian12:nonroot$/);
    const listed = Bun.spawnSync(["ldd", productBinary()]).stdout.toString();
    const libraries = Array.from(listed.matchAll(/^\s*(\S+)/gm), ([, path = ""]) => basename(path));
    const glibc = /^(linux-vdso|ld-linux.*|lib(c|m|dl|rt|pthread))\.so\.\d+$/;
    expect(libraries.length).toBeGreaterThan(1);
    expect(libraries.filter((name) => !glibc.test(name))).toEqual([]);
  });

  test("starts, asks for its health and ends by what the binary understands", async () => {
    const [binary] = image.entrypoint;
    expect(image.copies[0]?.to).toBe(binary ?? "none");
    expect(image.healthcheck.command[0]).toBe(binary ?? "none");
    expect(image.healthcheck.command[1]).toBe("health");
    // The command gives up after 2 s: before Docker would.
    expect(durationMs(image.healthcheck.flags.timeout ?? "")).toBeGreaterThan(2_000);
    for (const command of [image.command, image.healthcheck.command.slice(1)]) {
      expect([command, await helpOf(command)]).toEqual([command, 0]);
    }
    expect(image.stopSignal).toBe("SIGTERM");
  });

  test("is not root, and owns the folder it writes to, which is a volume", () => {
    expect(image.user).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    expect(image.volumes).toEqual([image.env.DATA_DIR ?? "none"]);
    expect(image.copies[1]).toMatchObject({ to: image.env.DATA_DIR ?? "none", owner: image.user });
  });

  test("listens where it says", () => {
    const { port, host } = loadConfig({ ...image.env, TRANSPORT: "capture" }).http;
    expect([port, host]).toEqual([image.port, "0.0.0.0"]);
    expect(unknownIn(image.env)).toEqual([]);
  });
});

describe("docker-compose.production.yml", () => {
  test("knows the services of the documentation", () => {
    expect(Object.keys(compose.services)).toEqual(["proxy", ...ours, "redis", "postgres"]);
  });

  test("sets and asks for no variable that the program does not know", () => {
    for (const name of ours) expect(unknownIn(service(name).environment)).toEqual([]);
    const text = readText("docker-compose.production.yml");
    const asked = Array.from(text.matchAll(/(?<!\$)\$\{(\w+)/g), ([, name = ""]) => name);
    // Compose itself is asked for ports alone, and each has a default.
    expect(new Set(asked)).toEqual(new Set(["PORT", "HTTP_PORT", "HTTPS_PORT"]));
  });

  test(".env.example knows no other variables either, and holds no secret", () => {
    const example = readEnvFile(".env.example");
    expect(unknownIn(example)).toEqual([]);
    const given = secretNames.filter(
      (name) => example[name] && !example[name].includes("password"),
    );
    expect(given).toEqual([]);
  });

  test("takes .env.production with exactly the documented names, and sends through Gmail", () => {
    for (const name of ours) {
      const config = loadConfig(composedEnv(name, documented));
      expect(config.warnings).toEqual([]);
      expect(config.transport).toMatchObject({ host: "smtp.gmail.com", port: 587 });
      expect(config.sender.from).toBe("ada@gmail.com");
      // What the file says of an SMTP server wins.
      const other = composedEnv(name, { ...documented, SMTP_HOST: "smtp.example.com" });
      expect(loadConfig(other).transport).toMatchObject({ host: "smtp.example.com" });
    }
  });

  test("refuses a placeholder by name, with the command that makes a secret", () => {
    for (const name of ["POSTGRES_PASSWORD", "REDIS_PASSWORD", "JWT_SECRET", "ENCRYPTION_KEY"]) {
      const file = { ...documented, [name]: `your-${name.toLowerCase()}-here` };
      expect(() => loadConfig(composedEnv("migrate", file))).toThrow(name);
      expect(() => loadConfig(composedEnv("migrate", file))).toThrow("openssl rand -hex 32");
    }
    const file = { ...documented, SMTP_PASS: "your-app-password" };
    expect(() => loadConfig(composedEnv("backend", file))).toThrow("SMTP_PASS");
  });

  test("its Redis does not begin without a password, naming the variable", () => {
    const [shell = "", ...args] = service("redis").command;
    const { exitCode, stderr } = Bun.spawnSync([shell, ...args], {
      env: { PATH: "/usr/bin:/bin" },
    });
    expect(exitCode).not.toBe(0);
    expect(stderr.toString()).toContain("REDIS_PASSWORD: set it in .env.production");
  });

  test("gives a configuration without a fault or a warning, by its own database and queue", () => {
    for (const name of ours) {
      const config = loadConfig(composedEnv(name));
      expect(config.warnings).toEqual([]);
      const password = encodeURIComponent(envFile.REDIS_PASSWORD ?? "");
      const place = { kind: "single", url: `redis://:${password}@redis:6379` };
      expect(config.queue).toEqual({ driver: "redis", place } as never);
      const secret = encodeURIComponent(envFile.POSTGRES_PASSWORD ?? "");
      const url = `postgresql://mailer:${secret}@postgres:5432/mailer`;
      const migrateUrl = name === "migrate" ? url : null;
      expect(config.database).toMatchObject({ driver: "postgres", migrateUrl });
      const { username } = new URL("url" in config.database ? config.database.url : "");
      expect(username).toBe("mailer_run_time");
      expect(config.transport.kind).toBe("smtp");
      // Several of them may start at the same time: `migrate` alone touches the schema.
      expect(config.autoMigrate).toBe(false);
    }
    const { POSTGRES_USER, POSTGRES_DB } = service("postgres").environment;
    expect([POSTGRES_USER, POSTGRES_DB]).toEqual(["mailer", "mailer"]);
  });

  test("runs backends and workers as many as one likes, none on a fixed port", () => {
    expect(loadConfig(composedEnv("backend")).role).toBe("api");
    expect(loadConfig(composedEnv("email-worker")).role).toBe("worker");
    expect(service("backend").ports).toEqual([]);
    // Health and figures of a worker, on whatever port is free on this machine alone.
    expect(service("email-worker").ports).toEqual([`127.0.0.1::${image.port}`]);
    const proxied = (variables: Settings) => readCompose(variables).services.proxy?.ports;
    expect(proxied({})).toEqual(["127.0.0.1:3000:3000", "80:80", "443:443"]);
    expect(proxied({ PORT: "8080" })?.[0]).toBe("127.0.0.1:8080:3000");
    expect(service("proxy").depends_on).toEqual({ backend: { condition: "service_healthy" } });
    expect(loadConfig(composedEnv("backend")).http).toMatchObject({
      port: image.port,
      host: "0.0.0.0",
    });
    // The proxy alone reaches a backend, so what it says of the caller counts.
    expect(loadConfig(composedEnv("backend")).http.trustProxy).toEqual({ kind: "hops", hops: 1 });
    const published = Object.keys(compose.services).filter(
      (name) => service(name).ports.length > 0,
    );
    expect(published).toEqual(["proxy", "email-worker"]);
  });

  test("migrates once the database is healthy, and before anybody serves", async () => {
    const [serve, migrate] = [["serve"], ["migrate"]];
    expect(service("migrate")).toMatchObject({ command: migrate, restart: "no" });
    expect(service("migrate").depends_on).toEqual({ postgres: { condition: "service_healthy" } });
    for (const name of ["backend", "email-worker"]) {
      expect(service(name)).toMatchObject({ command: serve, restart: "unless-stopped" });
      expect(service(name).depends_on.migrate?.condition).toBe("service_completed_successfully");
    }
    expect([await helpOf(serve), await helpOf(migrate)]).toEqual([0, 0]);
  });

  test("lets a drain end before it kills", () => {
    for (const name of ours) {
      const { drainTimeoutMs } = loadConfig(composedEnv(name));
      const graceMs = durationMs(service(name).stop_grace_period);
      expect(graceMs).toBeGreaterThanOrEqual(drainTimeoutMs + marginMs);
    }
  });

  test("keeps what must be kept, and lets the program write nowhere else", () => {
    for (const name of ours) {
      expect(service(name)).toMatchObject({
        read_only: true,
        tmpfs: "/tmp",
        cap_drop: ["ALL"],
        security_opt: ["no-new-privileges:true"],
        volumes: [`mailer:${image.env.DATA_DIR}`],
      });
    }
    expect(service("redis").volumes).toEqual(["redis:/data"]);
    expect(service("postgres").volumes).toEqual(["postgres:/var/lib/postgresql/data"]);
    expect(service("proxy").volumes).toEqual(["proxy:/data"]);
    expect(Object.keys(compose.volumes)).toEqual(["mailer", "proxy", "redis", "postgres"]);
    // One that runs away takes nobody else with it.
    for (const { mem_limit, pids_limit } of Object.values(compose.services)) {
      expect(mem_limit).toMatch(/^\d+[mg]$/);
      expect(pids_limit).toBeWithin(64, 1025);
    }
  });

  test("takes versions of PostgreSQL and Redis that the program is tested for", () => {
    const major = (name: string) => Number(/:(\d+)[.\d]*-bookworm$/.exec(service(name).image)?.[1]);
    expect(major("postgres")).toBeWithin(15, 19);
    expect(major("redis")).toBeWithin(7, 9);
  });
});

describe("fly.toml", () => {
  /** Those that its comments say to set, with values as somebody would give them. */
  const askedSecrets = Array.from(readText("fly.toml").matchAll(/^# .*$/gm)).flatMap(([line]) =>
    Array.from(line.matchAll(/\b([A-Z_]{4,})=/g), ([, name = ""]) => name),
  );
  const secrets: Settings = Object.fromEntries(
    askedSecrets.map((name) => [name, { ...envFile, PUBLIC_URL: "https://x.fly.dev" }[name] ?? ""]),
  );
  const env = { ...image.env, ...fly.env, ...secrets, FLY_REGION: "ams" };

  test("sets no variable that the program does not know, and no secret", () => {
    expect(unknownIn(fly.env)).toEqual([]);
    expect(unknownIn(secrets)).toEqual([]);
    expect(secretNames.filter((name) => name in fly.env)).toEqual(["DATABASE_URL"]);
  });

  test("with the secrets its comments name gives a configuration without fault or warning", () => {
    const config = loadConfig(env);
    expect(config.warnings).toEqual([]);
    expect(config).toMatchObject({ role: "all", region: "ams", isProduction: true });
    expect(config.http).toMatchObject({ host: "0.0.0.0", trustProxy: { kind: "fly" } });
    expect([config.database.driver, config.queue.driver]).toEqual(["postgres", "redis"]);
  });

  test("without one of them that matters it does not start", () => {
    for (const name of ["DATABASE_URL", "SMTP_HOST", "ENCRYPTION_KEY", "JWT_SECRET"]) {
      const { [name]: _forgotten, ...rest } = secrets;
      expect(() => loadConfig({ ...image.env, ...fly.env, ...rest })).toThrow(name);
    }
  });

  test("migrates by a command that exists, and then nobody else does", async () => {
    expect(await helpOf(fly.deploy.release_command.split(" "))).toBe(0);
    expect(loadConfig(env).autoMigrate).toBe(false);
  });

  test("asks on the port it listens on, and leaves the server time to answer", () => {
    expect(fly.http_service.internal_port).toBe(loadConfig(env).http.port);
    const [check] = fly.http_service.checks;
    expect(check).toMatchObject({ method: "GET", path: "/health/ready" });
    expect(durationMs(check?.timeout ?? "")).toBeGreaterThan(4_000);
  });

  test("lets a drain end before it kills, within what Fly allows", () => {
    expect(fly.kill_signal).toBe(image.stopSignal);
    const killMs = durationMs(fly.kill_timeout);
    expect(killMs).toBeGreaterThanOrEqual(loadConfig(env).drainTimeoutMs + marginMs);
    expect(killMs).toBeLessThanOrEqual(300_000);
  });

  test("never sleeps, since mail falls due while nobody visits", () => {
    const { auto_stop_machines, min_machines_running } = fly.http_service;
    expect([auto_stop_machines, min_machines_running]).toEqual(["off", 1]);
    expect(fly.restart).toEqual([{ policy: "always" }]);
  });

  test("is built from the Dockerfile", () => {
    expect(fly.build.dockerfile).toBe("Dockerfile");
  });
});
