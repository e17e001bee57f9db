import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { environmentTable, markedTable } from "../scripts/env-table.ts";
import { loadConfig } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import { configVariables } from "./config-variables.ts";

type Environment = Record<string, string | undefined>;

const sharedDatabase = {
  DATABASE_URL: "postgresql://u:canary-password@db/mailer",
  ENCRYPTION_KEY: "9f2c71d40be8a6355c1e07f8d2b94a63e01d8f7c6b52a9430e7dc81f5a3692bb",
  JWT_SECRET: "a secret of enough length",
};
const production = { ...sharedDatabase, SMTP_HOST: "smtp.example.com" };

function errorOf(env: Environment): ConfigError {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error("the configuration was accepted");
}

function faultyNames(env: Environment): string[] {
  return errorOf(env).faults.map((fault) => fault.name);
}

describe("nothing configured", () => {
  test("runs as one process on its own folder, capturing", () => {
    const config = loadConfig({});
    expect(config).toMatchObject({
      role: "all",
      region: "local",
      http: { host: "127.0.0.1", port: 3000 },
      database: { driver: "pglite" },
      queue: { driver: "postgres", url: null },
      transport: { kind: "capture" },
      sender: { from: "mailer@localhost", allowed: null },
      encryptionKey: null,
      warnings: [],
    });
    expect(config.dataDir).toBe(join(process.cwd(), "data"));
  });

  test("an empty variable counts as unset, for every variable", () => {
    const env = Object.fromEntries(
      configVariables.map(({ name }) => [name, name.length % 2 ? "" : " "]),
    );
    expect(loadConfig(env)).toEqual(loadConfig({}));
  });

  test("nobody can change the configuration afterwards", () => {
    const config = loadConfig({}) as { http: { port: number } };
    expect(() => {
      config.http.port = 1;
    }).toThrow();
  });
});

describe("faults", () => {
  test("all are reported at once, with name, expectation, what came and an example", () => {
    const error = errorOf({ PORT: "99999", ROLE: "both", SMTP_TLS: "maybe", REGION: "a b" });
    expect(error.faults.map(({ name }) => name).sort()).toEqual([
      "PORT",
      "REGION",
      "ROLE",
      "SMTP_TLS",
    ]);
    expect(error.report).toContain("expected  a whole number from 0 to 65535");
    expect(error.report).toContain('got       "99999"');
    expect(error.report).toContain("example   PORT=3000");
  });

  test("never show a secret", () => {
    const secrets = configVariables.filter(({ isSecret }) => isSecret);
    const env = Object.fromEntries(secrets.map(({ name }) => [name, "canary\nvalue"]));
    const { report } = errorOf({ ...env, PUBLIC_URL: "ftp://user:canary-value@host" });
    expect(report).toContain("DATABASE_URL");
    expect(report).not.toContain("canary");
  });

  test.each([
    ["PORT", "-1"],
    ["PORT", "80a"],
    ["PORT", "1e3"],
    ["SMTP_REPLY_TIMEOUT_MS", "499"],
    ["SMTP_RATE_PER_SECOND", "0"],
    ["SMTP_RATE_PER_SECOND", "10001"],
    ["SMTP_RATE_PER_SECOND", "1e3"],
    ["RETRY_BASE_MS", "9"],
    ["RECONCILE_INTERVAL_MS", "199"],
    ["TRUST_PROXY", "maybe"],
    ["REDIS_URL", "http://localhost"],
    ["REDIS_URL", "redis:localhost"],
    ["SMTP_FROM", "not an address"],
    ["SMTP_FROM_ALLOWED", "a b"],
    ["ENCRYPTION_KEY", "fifteen letters"],
    ["ENCRYPTION_KEYS_OLD", "short"],
    ["JWT_SECRET", "fifteen letters"],
    ["AUDIT_SIGNING_KEY", "a passphrase that is long enough"],
    ["JWKS_URL", "ftp://example.com/jwks.json"],
    ["SMTP_USER", "a\r\nb"],
    ["SMTP_PASS", "a\nb"],
    ["JWT_SECRET", "a secret\nof two lines"],
    ["METRICS_TOKEN", "sixteen or more but with spaces"],
    ["REDIS_PASSWORD", "two\nlines"],
  ])("%s=%j is refused", (name, value) => {
    expect(faultyNames({ [name]: value })).toContain(name);
  });

  test("every variable's example is accepted by its own parser", () => {
    for (const { name, parser, example } of configVariables) {
      const value = example.replace("<output of: openssl rand -hex 32>", "0a".repeat(32));
      if (value !== "") expect([name, parser.parse(value)]).not.toEqual([name, undefined]);
    }
  });
});

describe("which part follows from what", () => {
  test("DATABASE_URL alone: PostgreSQL, and the queue in it", () => {
    const config = loadConfig(production);
    expect(config.database).toMatchObject({ driver: "postgres", url: production.DATABASE_URL });
    expect(config.queue).toEqual({ driver: "postgres", url: production.DATABASE_URL });
  });

  test("the key set of JWKS_URL, else Supabase Auth's once its anon key lets its users in", () => {
    const { jwt } = loadConfig({ ...production, JWKS_URL: "https://example.com/keys" });
    expect(jwt.jwksUrl).toBe("https://example.com/keys");
    expect(jwt.secret).toBe(production.JWT_SECRET);
    const supabase = { ...production, SUPABASE_URL: "https://abc.supabase.co/" };
    const project = { ...supabase, SUPABASE_SERVICE_ROLE_KEY: "sb_secret_abc" };
    expect(loadConfig(project).jwt.jwksUrl).toBeNull();
    expect(loadConfig(project).supabaseAuth).toBeNull();
    const open = loadConfig({ ...project, SUPABASE_ANON_KEY: "sb_publishable_abc" });
    expect(open.jwt.jwksUrl).toBe("https://abc.supabase.co/auth/v1/.well-known/jwks.json");
    const anonKey = "sb_publishable_abc";
    expect(open.supabaseAuth).toEqual({ url: "https://abc.supabase.co", anonKey });
  });

  test("a shared database needs both secrets and a mail server", () => {
    const env = { DATABASE_URL: sharedDatabase.DATABASE_URL };
    expect(faultyNames(env).sort()).toEqual(["ENCRYPTION_KEY", "JWT_SECRET", "SMTP_HOST"]);
  });

  test("production needs a mail server unless capturing is said to be meant", () => {
    expect(faultyNames({ NODE_ENV: "production" })).toEqual(["SMTP_HOST"]);
    const config = loadConfig({ NODE_ENV: "production", TRANSPORT: "capture" });
    expect(config).toMatchObject({ transport: { kind: "capture" }, http: { host: "0.0.0.0" } });
  });

  test("TRANSPORT=capture wins over SMTP_HOST, TRANSPORT=smtp needs it", () => {
    const env = { TRANSPORT: "capture", SMTP_HOST: "smtp.example.com" };
    expect(loadConfig(env).transport.kind).toBe("capture");
    expect(faultyNames({ TRANSPORT: "smtp" })).toEqual(["SMTP_HOST"]);
  });

  test("the embedded database serves one process only", () => {
    expect(faultyNames({ ROLE: "worker" })).toEqual(["ROLE"]);
    expect(loadConfig({ ...production, ROLE: "worker" }).role).toBe("worker");
  });

  test("REDIS_HOST, REDIS_PORT and REDIS_PASSWORD make a URL; REDIS_URL wins", () => {
    const parts = { REDIS_HOST: "cache", REDIS_PORT: "6380", REDIS_PASSWORD: "p@ss:/word#" };
    expect(loadConfig(parts).queue).toEqual({
      driver: "redis",
      url: "redis://:p%40ss%3A%2Fword%23@cache:6380",
    });
    expect(loadConfig({ REDIS_HOST: "::1", REDIS_PASSWORD: "" }).queue).toEqual({
      driver: "redis",
      url: "redis://[::1]:6379",
    });
    const url = "rediss://:x@other:1";
    expect(loadConfig({ ...parts, REDIS_URL: url }).queue).toEqual({ driver: "redis", url });
  });
});

describe("Supabase", () => {
  const jwt = (role: string) =>
    `eyJhbGciOiJIUzI1NiJ9.${Buffer.from(JSON.stringify({ role })).toString("base64url")}.c2ln`;
  const { DATABASE_URL, ...others } = production;
  const supabase = {
    ...others,
    SUPABASE_URL: "https://abc.supabase.co",
    SUPABASE_SERVICE_ROLE_KEY: jwt("service_role"),
    REDIS_URL: "redis://cache:6379",
  };

  test("SUPABASE_URL with its key and Redis: supabase-js, and nobody here migrates", () => {
    const config = loadConfig(supabase);
    expect(config.database).toEqual({
      driver: "supabase",
      url: supabase.SUPABASE_URL,
      serviceRoleKey: supabase.SUPABASE_SERVICE_ROLE_KEY,
      migrateUrl: null,
    });
    expect(config.queue.driver).toBe("redis");
    expect(config.warnings).toEqual([]);
  });

  test("DATABASE_URL beside it serves migrate, and the queue when there is no Redis", () => {
    const config = loadConfig({ ...supabase, DATABASE_URL });
    expect(config.database).toMatchObject({ driver: "supabase", migrateUrl: DATABASE_URL });
    expect(config.queue.driver).toBe("redis");
    const { queue } = loadConfig({ ...supabase, DATABASE_URL, REDIS_URL: "" });
    expect(queue).toEqual({ driver: "postgres", url: DATABASE_URL ?? "" });
  });

  test("without Redis and without DATABASE_URL the queue has no place", () => {
    expect(faultyNames({ ...supabase, REDIS_URL: "" })).toEqual(["REDIS_URL"]);
  });

  test("its key is required, and so is everything that a shared database requires", () => {
    expect(faultyNames({ SUPABASE_URL: supabase.SUPABASE_URL }).sort()).toEqual([
      "ENCRYPTION_KEY",
      "JWT_SECRET",
      "REDIS_URL",
      "SMTP_HOST",
      "SUPABASE_SERVICE_ROLE_KEY",
    ]);
    expect(errorOf({ ...supabase, JWT_SECRET: "" }).report).toContain("SUPABASE_URL is set");
  });

  test("a key that can do nothing is refused before it fails, and never shown", () => {
    for (const key of [
      jwt("anon"),
      jwt("authenticated"),
      "sb_publishable_canary",
      "canary",
      "a b",
    ]) {
      const error = errorOf({ ...supabase, SUPABASE_SERVICE_ROLE_KEY: key });
      expect(error.faults.map(({ name }) => name)).toEqual(["SUPABASE_SERVICE_ROLE_KEY"]);
      expect(error.report).toContain("starts with sb_secret_");
      expect(error.report).not.toContain(key);
    }
    const pasted = { ...supabase, SUPABASE_SERVICE_ROLE_KEY: " sb_secret_abc-1\n" };
    expect(loadConfig(pasted).database).toMatchObject({ serviceRoleKey: "sb_secret_abc-1" });
  });

  test.each([
    "https://abc.supabase.co/rest/v1",
    "https://supabase.com/dashboard/project/abc",
    "https://db.abc.supabase.co",
    "http://abc.supabase.co",
    "postgresql://postgres@db.abc.supabase.co/postgres",
    "abc.supabase.co",
  ])("SUPABASE_URL=%s is not the API's address, and is refused", (url) => {
    expect(faultyNames({ ...supabase, SUPABASE_URL: url })).toEqual(["SUPABASE_URL"]);
  });

  test("one's own installation may be anywhere", () => {
    for (const url of ["http://127.0.0.1:54321", "https://example.com/supabase/"]) {
      expect(loadConfig({ ...supabase, SUPABASE_URL: url }).database).toMatchObject({ url });
    }
  });

  test("a pooler in transaction mode, and a key without its project, are warned of", () => {
    const pooler = "postgresql://postgres.abc@pooler.supabase.com:6543/postgres";
    expect(loadConfig({ ...supabase, DATABASE_URL: pooler }).warnings.join()).toContain("6543");
    expect(loadConfig({ ...supabase, DATABASE_URL, SUPABASE_URL: "" }).warnings.join()).toContain(
      "SUPABASE_SERVICE_ROLE_KEY is ignored",
    );
  });
});

describe("SMTP", () => {
  const folder = mkdtempSync(join(tmpdir(), "config-test-"));
  const pem = join(folder, "ca.pem");
  const notPem = join(folder, "ca.txt");
  beforeAll(() => {
    writeFileSync(pem, "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n");
    writeFileSync(notPem, "hello");
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const account = {
    SMTP_HOST: "smtp.example.com",
    SMTP_USER: "mailer@Example.com",
    SMTP_PASS: " p ",
  };
  const smtp = (env: Environment) => {
    const { transport } = loadConfig(env);
    if (transport.kind !== "smtp") throw new Error("not smtp");
    return transport;
  };

  test("a password is taken to the letter", () => {
    expect(smtp(account).pass).toBe(" p ");
  });

  test("TLS is required exactly when a password would cross a network", () => {
    expect(smtp(account).tls).toBe("required");
    expect(smtp({ ...account, SMTP_HOST: "127.0.0.1" }).tls).toBe("opportunistic");
    expect(smtp({ SMTP_HOST: "smtp.example.com" }).tls).toBe("opportunistic");
    expect(smtp({ ...account, SMTP_TLS: "off" }).tls).toBe("off");
    expect(loadConfig({ ...account, SMTP_TLS: "off" }).warnings).toHaveLength(1);
  });

  test("the port follows SMTP_SECURE", () => {
    expect(smtp(account)).toMatchObject({ port: 587, isSecure: false });
    expect(smtp({ ...account, SMTP_SECURE: "true" })).toMatchObject({ port: 465, isSecure: true });
    expect(smtp({ ...account, SMTP_SECURE: "true", SMTP_PORT: "2465" }).port).toBe(2465);
  });

  test("settings that contradict each other are refused", () => {
    expect(faultyNames({ ...account, SMTP_SECURE: "true", SMTP_TLS: "off" })).toEqual(["SMTP_TLS"]);
    expect(faultyNames({ ...account, SMTP_PASS: "" })).toEqual(["SMTP_PASS"]);
    expect(faultyNames({ ...account, SMTP_USER: "" })).toEqual(["SMTP_USER"]);
  });

  test("what is said at EHLO and AUTH, and messages of one connection, can be set", () => {
    const set = { SMTP_EHLO_NAME: "m.example.com", SMTP_AUTH: "login" };
    expect(smtp({ ...account, ...set, SMTP_MESSAGES_PER_CONNECTION: "10" })).toMatchObject({
      ehloName: "m.example.com",
      auth: "login",
      messagesPerConnection: 10,
    });
    expect(smtp(account)).toMatchObject({ auth: null, messagesPerConnection: 100 });
    expect(smtp({ ...account, SMTP_EHLO_NAME: "[192.0.2.1]" }).ehloName).toBe("[192.0.2.1]");
    for (const wrong of ["a b", "a\r\nRSET", "-a", "a..b"])
      expect(faultyNames({ ...account, SMTP_EHLO_NAME: wrong })).toEqual(["SMTP_EHLO_NAME"]);
    expect(faultyNames({ ...account, SMTP_AUTH: "ntlm" })).toEqual(["SMTP_AUTH"]);
  });

  test("SMTP_TLS_CA is read at the start", () => {
    expect(smtp({ ...account, SMTP_TLS_CA: pem }).tlsCa).toContain("BEGIN CERTIFICATE");
    expect(faultyNames({ ...account, SMTP_TLS_CA: notPem })).toEqual(["SMTP_TLS_CA"]);
    expect(errorOf({ ...account, SMTP_TLS_CA: join(folder, "none") }).report).toContain("ENOENT");
  });

  test("the sender follows SMTP_USER, and only its domain may be used", () => {
    expect(loadConfig(account).sender).toEqual({
      from: "mailer@example.com",
      fromName: null,
      allowed: ["example.com"],
      headersAllowed: [],
    });
    const listed = { ...account, HEADERS_ALLOWED: "X-PM-Tag, X-SES-*" };
    expect(loadConfig(listed).sender.headersAllowed).toEqual(["X-PM-Tag", "X-SES-*"]);
    expect(faultyNames({ ...account, HEADERS_ALLOWED: "X PM, *" })).toEqual(["HEADERS_ALLOWED"]);
    expect(loadConfig({ ...account, SMTP_USER: "apikey" }).sender).toMatchObject({
      from: null,
      allowed: null,
    });
  });

  test("a name in SMTP_FROM is used unless SMTP_FROM_NAME says another", () => {
    const env = { ...account, SMTP_FROM: "Example Ltd <no-reply@example.org>" };
    expect(loadConfig(env).sender).toMatchObject({
      from: "no-reply@example.org",
      fromName: "Example Ltd",
      allowed: ["example.org"],
    });
    expect(loadConfig({ ...env, SMTP_FROM_NAME: "Other" }).sender.fromName).toBe("Other");
  });

  test("SMTP_FROM_ALLOWED takes addresses and domains, in any letter case and script", () => {
    const { sender } = loadConfig({
      ...account,
      SMTP_FROM_ALLOWED: "Example.COM, @bücher.example, News@Example.org",
    });
    expect(sender.allowed).toEqual(["example.com", "xn--bcher-kva.example", "News@example.org"]);
  });
});

describe("warnings", () => {
  test("a variable of a feature to come is named, whatever its value", () => {
    const { warnings } = loadConfig({ RETENTION_DAYS: "forever", SMTP_IN_PORT: "canary" });
    expect(warnings.join("\n")).toContain("RETENTION_DAYS is set but not in use yet");
    expect(warnings).toHaveLength(2);
    expect(warnings.join()).not.toContain("canary");
  });

  test("a misspelt variable of ours is named", () => {
    expect(loadConfig({ SMTP_FROM_ALOWED: "example.com" }).warnings.join()).toContain(
      "SMTP_FROM_ALOWED",
    );
  });
});

test("the README's table is the one of config-variables.ts (bun scripts/env-table.ts --write)", async () => {
  const readme = await Bun.file(`${import.meta.dirname}/../README.md`).text();
  expect(markedTable(readme)).toBe(environmentTable());
});

test("a variable that is gone is ignored, and the warning says why", () => {
  const { warnings } = loadConfig({ QUEUE_HORIZON_MS: "600000" });
  expect(warnings).toContainEqual(expect.stringContaining("QUEUE_HORIZON_MS is ignored"));
});
