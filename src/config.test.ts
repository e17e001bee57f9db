import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { environmentTable, markedTable, pagesWithTable } from "../scripts/env-table.ts";
import { loadConfig } from "./config.ts";
import { configVariables } from "./config-variables.ts";
import { errorOf, faultyNames } from "./testing/fixtures/config-faults.ts";

const sharedDatabase = {
  DATABASE_URL: "postgresql://u:canary-password@db/mailer",
  ENCRYPTION_KEY: "9f2c71d40be8a6355c1e07f8d2b94a63e01d8f7c6b52a9430e7dc81f5a3692bb",
  JWT_SECRET: "a secret of enough length",
};
const production = { ...sharedDatabase, SMTP_HOST: "smtp.example.com" };

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

  test("entries are kept at least as long as records, and no longer only where those go", () => {
    const days = (journal: string, record?: string) => ({
      RETENTION_JOURNAL_DAYS: journal,
      ...(record !== undefined && { RETENTION_METADATA_DAYS: record }),
    });
    for (const env of [days("365"), days("364", "365")]) {
      const { faults, report } = errorOf(env);
      expect(faults.map(({ name }) => name)).toEqual(["RETENTION_JOURNAL_DAYS"]);
      expect(report).toContain("RETENTION_METADATA_DAYS");
    }
    expect(faultyNames(days("1", "x"))).toEqual(["RETENTION_METADATA_DAYS"]);
    expect(loadConfig(days("365", "365")).retention).toEqual({
      ...{ contentDays: null, recordDays: 365, journalDays: 365 },
    });
    expect(loadConfig(days("", "365")).retention.journalDays).toBeNull();
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
    ["JWT_SECRETS_OLD", "a secret of enough length,fifteen letters"],
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

  test("SMTP_HOST_DEFAULT counts where SMTP_HOST is unset or empty, and nowhere else", () => {
    const { SMTP_HOST, ...rest } = production;
    const SMTP_HOST_DEFAULT = "smtp.gmail.com";
    const hostOf = (env: Record<string, string>) => loadConfig(env).transport;
    expect(hostOf({ ...rest, SMTP_HOST_DEFAULT })).toMatchObject({ host: "smtp.gmail.com" });
    expect(hostOf({ ...rest, SMTP_HOST_DEFAULT, SMTP_HOST: "" })).toMatchObject({
      host: "smtp.gmail.com",
    });
    expect(hostOf({ ...production, SMTP_HOST_DEFAULT })).toMatchObject({ host: SMTP_HOST });
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
});

describe("warnings", () => {
  test("a variable of a feature to come is named, whatever its value", () => {
    const { warnings } = loadConfig({ SMTP_IN_PORT: "canary" });
    expect(warnings).toEqual(["SMTP_IN_PORT is set but not in use yet"]);
    expect(warnings.join()).not.toContain("canary");
  });

  test("a misspelt variable of ours is named", () => {
    expect(loadConfig({ SMTP_FROM_ALOWED: "example.com" }).warnings.join()).toContain(
      "SMTP_FROM_ALOWED",
    );
  });
});

test.each(pagesWithTable)(
  "the table of %s is the one of config-variables.ts (bun scripts/env-table.ts --write)",
  async (path) => {
    const page = await Bun.file(`${import.meta.dirname}/../${path}`).text();
    expect(markedTable(page)).toBe(environmentTable());
  },
);

test("a variable that is gone is ignored, and the warning says why", () => {
  const { warnings } = loadConfig({ QUEUE_HORIZON_MS: "600000" });
  expect(warnings).toContainEqual(expect.stringContaining("QUEUE_HORIZON_MS is ignored"));
});
