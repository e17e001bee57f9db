import { describe, expect, test } from "bun:test";
import { loadConfig } from "./config.ts";
import { ConfigError } from "./config-error.ts";

type Environment = Record<string, string | undefined>;

const production = {
  DATABASE_URL: "postgresql://u:p@db/mailer",
  ENCRYPTION_KEY: "9f2c71d40be8a6355c1e07f8d2b94a63e01d8f7c6b52a9430e7dc81f5a3692bb",
  JWT_SECRET: "a secret of enough length",
  SMTP_HOST: "smtp.example.com",
};

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

test("POSTGRES_HOST and its parts make a URL, whatever the password holds; DATABASE_URL wins", () => {
  const { DATABASE_URL, ...rest } = production;
  const parts = {
    POSTGRES_HOST: "db",
    POSTGRES_USER: "mailer",
    POSTGRES_PASSWORD: "p@ss:/w?#%$ ",
  };
  const named = loadConfig({ ...rest, ...parts, POSTGRES_PORT: "5433", POSTGRES_DB: "mails" });
  const url = "postgresql://mailer:p%40ss%3A%2Fw%3F%23%25%24%20@db:5433/mails";
  expect(named.database).toMatchObject({ driver: "postgres", url });
  expect(named.queue).toEqual({ driver: "postgres", url });
  expect(named.warnings).toEqual([]);
  expect(loadConfig({ ...rest, POSTGRES_HOST: "::1" }).database).toMatchObject({
    url: "postgresql://postgres@[::1]:5432/postgres",
  });
  const both = loadConfig({ ...production, ...parts });
  expect(both.database).toMatchObject({ url: DATABASE_URL });
  expect(both.warnings).toEqual(["POSTGRES_HOST is ignored: DATABASE_URL wins"]);
  expect(errorOf(parts).report).toContain("because POSTGRES_HOST is set");
  expect(loadConfig({ POSTGRES_PASSWORD: "of nobody's server" }).database.driver).toBe("pglite");
});

describe("POSTGRES_RUN_TIME_USER", () => {
  const { DATABASE_URL: _, ...rest } = production;
  const parts = {
    ...{ ...rest, POSTGRES_HOST: "db", POSTGRES_USER: "mailer", POSTGRES_DB: "mails" },
    ...{ POSTGRES_RUN_TIME_USER: "run_time", REDIS_HOST: "cache", POSTGRES_PASSWORD: "of mailer" },
  };

  test("logs in by a password of its own, which the key makes; the other one migrates", () => {
    const { database } = loadConfig(parts);
    const url = "url" in database ? database.url : "";
    expect(url).toMatch(/^postgresql:\/\/run_time:[\w-]{32}@db:5432\/mails$/);
    expect(database).toMatchObject({
      migrateUrl: "postgresql://mailer:of%20mailer@db:5432/mails",
    });
    const other = loadConfig({ ...parts, ENCRYPTION_KEY: "another phrase of some length" });
    expect(other.database).not.toMatchObject({ url });
  });

  test("needs no POSTGRES_PASSWORD where nobody migrates", () => {
    const without = { ...parts, POSTGRES_PASSWORD: "", AUTO_MIGRATE: "false" };
    expect(loadConfig(without).database).toMatchObject({ migrateUrl: null });
    expect(faultyNames({ ...without, AUTO_MIGRATE: "true" })).toEqual(["AUTO_MIGRATE"]);
  });

  test("is another one than POSTGRES_USER, beside a Redis, and not with DATABASE_URL", () => {
    for (const wrong of [{ POSTGRES_USER: "run_time" }, { REDIS_HOST: "" }]) {
      expect(faultyNames({ ...parts, ...wrong })).toEqual(["POSTGRES_RUN_TIME_USER"]);
    }
    expect(loadConfig({ ...parts, DATABASE_URL: "postgresql://u:p@db/m" }).warnings).toContain(
      "POSTGRES_RUN_TIME_USER is ignored: DATABASE_URL names its user itself",
    );
  });
});

test("a read replica stands beside a database that others can share", () => {
  const url = "postgresql://u:p@replica/mailer";
  const config = loadConfig({ ...production, DATABASE_READ_URL: url });
  expect(config.readReplica).toEqual({ url, lagMaxMs: 2_000 });
  expect(config.warnings).toEqual([]);
  const slow = { ...production, DATABASE_READ_URL: url, READ_LAG_MAX_MS: "500" };
  expect(loadConfig(slow).readReplica).toEqual({ url, lagMaxMs: 500 });
  expect(faultyNames({ ...slow, READ_LAG_MAX_MS: "99" })).toEqual(["READ_LAG_MAX_MS"]);
  const embedded = loadConfig({ DATABASE_READ_URL: url });
  expect(embedded.readReplica).toBeNull();
  expect(embedded.warnings).toEqual([
    "DATABASE_READ_URL is ignored: the embedded database has no replica",
  ]);
  expect(
    loadConfig({ ...production, DATABASE_READ_URL: "postgresql://u:p@db.example.com/m" }).warnings,
  ).toEqual([expect.stringMatching(/^DATABASE_READ_URL has no sslmode/)]);
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

  test("the documented .env lacks the secret key alone, and is told where that stands", () => {
    const documented = {
      ...{ SUPABASE_URL: supabase.SUPABASE_URL, SUPABASE_ANON_KEY: jwt("anon") },
      ...{ SMTP_HOST: "smtp.gmail.com", SMTP_PORT: "587", SMTP_SECURE: "false" },
      ...{ SMTP_USER: "ada@gmail.com", SMTP_PASS: "abcd efgh ijkl mnop" },
      ...{ SMTP_FROM_NAME: "Ada", REDIS_HOST: "localhost", REDIS_PORT: "6379", REDIS_PASSWORD: "" },
      ENCRYPTION_KEY: production.ENCRYPTION_KEY,
    };
    const { faults, report } = errorOf(documented);
    expect(faults.map(({ name }) => name)).toEqual(["SUPABASE_SERVICE_ROLE_KEY"]);
    expect(report).toMatch(/^ {4}expected .*dashboard under Project Settings, API Keys/m);
    const key = { SUPABASE_SERVICE_ROLE_KEY: supabase.SUPABASE_SERVICE_ROLE_KEY };
    const config = loadConfig({ ...documented, ...key });
    expect(config.warnings).toEqual([]);
    expect(config.jwt).toMatchObject({
      secret: null,
      jwksUrl: "https://abc.supabase.co/auth/v1/.well-known/jwks.json",
    });
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
    "http://203.0.113.7:8000",
    "http://[2001:4860:4860::8888]",
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
