import { describe, expect, test } from "bun:test";
import { randomBytes, randomUUID } from "node:crypto";
import { loadConfig } from "./config.ts";
import { ConfigError } from "./config-error.ts";

const production = {
  DATABASE_URL: "postgresql://u:p@db/mailer",
  ENCRYPTION_KEY: "9f2c71d40be8a6355c1e07f8d2b94a63e01d8f7c6b52a9430e7dc81f5a3692bb",
  JWT_SECRET: "a secret of enough length",
  SMTP_HOST: "smtp.example.com",
};
const account = {
  SMTP_HOST: "smtp.example.com",
  SMTP_USER: "mailer@example.com",
  SMTP_PASS: " p ",
};

function errorOf(env: Record<string, string>): ConfigError {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error("the configuration was accepted");
}

describe("a secret that anybody can guess", () => {
  const names = ["ENCRYPTION_KEY", "JWT_SECRET", "METRICS_TOKEN"] as const;
  const weak = [
    ...["$(openssl rand -hex 32)", "`openssl rand -hex 32`", "<output of: openssl rand -hex 32>"],
    ...["your-jwt-secret-here", "your-encryption-key", "a-long-random-text", "change-me-please"],
    ...["super-secret-jwt-token-with-at-least-32-characters-long", "ab".repeat(32)],
    ...["0123456789abcdef".repeat(4), "1234567890123456", "aaaaaaaaaaaaaaaaaaaaaaab"],
  ];
  for (const name of names) {
    test(`is refused as ${name}, with the command that makes a better one`, () => {
      for (const secret of weak) {
        const { faults, report } = errorOf({ ...production, [name]: secret });
        expect([secret, faults.map((fault) => fault.name)]).toEqual([secret, [name]]);
        expect(report).toContain("openssl rand -hex 32");
        if (!secret.includes("openssl")) expect(report).not.toContain(secret);
      }
    });
  }

  test("is taken as a former key, since it still has to decrypt", () => {
    const ENCRYPTION_KEYS_OLD = "$(openssl rand -hex 32),your-encryption-key";
    expect(loadConfig({ ...production, ENCRYPTION_KEYS_OLD }).encryptionKeysOld).toHaveLength(2);
  });

  test("is refused as a former secret of tokens, wherever it stands in the list", () => {
    const good = "former secret of enough length";
    for (const secret of weak) {
      for (const JWT_SECRETS_OLD of [secret, `${good},${secret}`, `${secret}, ${good}`]) {
        const { faults, report } = errorOf({ ...production, JWT_SECRETS_OLD });
        expect([secret, faults.map(({ name }) => name)]).toEqual([secret, ["JWT_SECRETS_OLD"]]);
        expect(report).not.toContain(`got       ${secret}`);
      }
    }
    const JWT_SECRETS_OLD = `${good}, the one before that`;
    const { jwt } = loadConfig({ ...production, JWT_SECRETS_OLD });
    expect(jwt.secretsOld).toEqual([good, "the one before that"]);
    expect(jwt.secret).toBe(production.JWT_SECRET);
  });

  test("is Supabase's own where a project runs on this machine", () => {
    const JWT_SECRET = "super-secret-jwt-token-with-at-least-32-characters-long";
    const local = { ...production, SUPABASE_SERVICE_ROLE_KEY: "sb_secret_abcdefgh", JWT_SECRET };
    expect(loadConfig({ ...local, SUPABASE_URL: "http://127.0.0.1:54321" }).jwt.secret).toBe(
      JWT_SECRET,
    );
    const rotated = { ...local, JWT_SECRET: "the next secret of it", JWT_SECRETS_OLD: JWT_SECRET };
    const { jwt } = loadConfig({ ...rotated, SUPABASE_URL: "http://127.0.0.1:54321" });
    expect(jwt.secretsOld).toEqual([JWT_SECRET]);
    const { faults } = errorOf({ ...local, SUPABASE_URL: "https://abcdefgh.supabase.co" });
    expect(faults.map(({ name }) => name)).toEqual(["JWT_SECRET"]);
  });

  test("no random value is, nor a passphrase of some words", () => {
    const passphrases = [
      "correct horse battery staple",
      "my secret garden has a key",
      "Tr0ub4dor&3-Tr0ub4dor",
    ];
    const random = Array.from({ length: 3_000 }, () => [
      ...[randomBytes(32).toString("hex"), randomBytes(32).toString("base64")],
      ...[randomBytes(24).toString("base64url"), randomUUID()],
    ]);
    for (const JWT_SECRET of [...passphrases, ...random.flat()]) {
      expect(loadConfig({ JWT_SECRET }).jwt.secret).toBe(JWT_SECRET);
    }
  });
});

describe("a password that was never filled in", () => {
  const names = ["POSTGRES_PASSWORD", "REDIS_PASSWORD", "SMTP_PASS"] as const;
  const unfilled = ["your-secure-password", "your-gmail-app-password", "changeme", "<password>"];
  for (const name of names) {
    test(`is refused in production as ${name}, and says what belongs there`, () => {
      const env = { ...production, SMTP_USER: "ada@example.com", SMTP_PASS: "abcd efgh ijkl mnop" };
      for (const password of unfilled) {
        expect(() => loadConfig({ ...env, [name]: password })).not.toThrow();
        const set = { ...env, NODE_ENV: "production", [name]: password };
        const { faults, report } = errorOf(set);
        expect([password, faults.map((fault) => fault.name)]).toEqual([password, [name]]);
        expect(report).toContain(name === "SMTP_PASS" ? "app password" : "openssl rand -hex 32");
        expect(report).not.toContain(`got       ${password}`);
      }
      // Weak, but perhaps meant: servers that others set up have such.
      for (const password of ["hunter2!", "password", "an-app-password"]) {
        const set = { ...env, NODE_ENV: "production", [name]: password };
        expect(() => loadConfig(set)).not.toThrow();
      }
    });
  }
});

test("a line end behind any secret is no part of it", () => {
  const secrets = {
    JWT_SECRET: "a secret of enough length",
    METRICS_TOKEN: "a-token-for-metrics-only",
    ENCRYPTION_KEY: production.ENCRYPTION_KEY,
    DATABASE_URL: "postgresql://u:p@db/mailer",
    REDIS_URL: "redis://:p@redis:6379",
    AUDIT_SIGNING_KEY: production.ENCRYPTION_KEY,
  };
  const ended = (end: string) =>
    Object.entries({ ...account, ...secrets }).map(([name, value]) => [name, `${value}${end}`]);
  for (const end of ["\n", "\r\n"]) {
    expect(loadConfig(Object.fromEntries(ended(end)))).toEqual(
      loadConfig({ ...account, ...secrets }),
    );
  }
});
