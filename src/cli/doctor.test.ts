import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { Redis } from "ioredis";
import { createApiKey } from "../auth/api-key.ts";
import { createKeyRing } from "../crypto/create-key-ring.ts";
import type { Finding } from "../doctor/finding.ts";
import { resolveWallClock } from "../email/wall-clock.ts";
import { zoneData } from "../email/zone-data.ts";
import { createApiKeys } from "../store/api-keys.ts";
import { createAttempts } from "../store/attempts.ts";
import { partClaims } from "../store/database.ts";
import { createEmails } from "../store/emails.ts";
import { createPauses } from "../store/pauses.ts";
import { createPostgresDatabase } from "../store/postgres-database.ts";
import { createPresence } from "../store/presence.ts";
import { EARLIER_SCHEMA } from "../testing/fixtures/earlier-schema.ts";
import { newEmail, store } from "../testing/fixtures/new-email.ts";
import { guardedFolder } from "../testing/product/product.ts";
import { freePort } from "../testing/servers/child-server.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { runOnce, sharedPostgres } from "../testing/servers/postgres-server.ts";
import { type RedisServer, startRedis } from "../testing/servers/redis-server.ts";
import { createSmtpSink, type SmtpSink } from "../testing/servers/smtp-sink.ts";
import { runCommand } from "./command.ts";
import type { DoctorReport } from "./doctor/print-report.ts";
import { doctorCommand } from "./doctor.ts";

setDefaultTimeout(60_000);

const account = { user: "mailer@example.test", pass: "the-right-password" };
let redis: RedisServer;
let sink: SmtpSink;
let env: Record<string, string>;
beforeAll(async () => {
  redis = await startRedis();
  sink = await createSmtpSink({ auth: account, tls: "starttls" });
  const ca = join(guardedFolder("ca"), "ca.pem");
  writeFileSync(ca, sink.ca ?? "");
  env = {
    DATABASE_URL: (await freshDatabase()).url,
    REDIS_URL: redis.url,
    SMTP_HOST: "127.0.0.1",
    SMTP_PORT: `${sink.port}`,
    SMTP_USER: account.user,
    SMTP_PASS: account.pass,
    SMTP_TLS: "required",
    SMTP_TLS_CA: ca,
    ENCRYPTION_KEY: "9f2c71d40be8a6355c1e07f8d2b94a63e01d8f7c6b52a9430e7dc81f5a3692bb",
    JWT_SECRET: "a-secret-only-these-tests-know",
  };
});
afterAll(async () => {
  await sink.close();
  await redis.stop();
});

async function run(settings: Record<string, string>, args: string[] = []) {
  const written = { stdout: "", stderr: "" };
  const writer = (name: "stdout" | "stderr") => ({
    write: (text: string) => {
      written[name] += text;
    },
  });
  const io = { stdout: writer("stdout"), stderr: writer("stderr"), isTty: false, env: settings };
  const startedAt = performance.now();
  const code = await runCommand(doctorCommand, args, io);
  return { code, tookMs: performance.now() - startedAt, ...written };
}

/** A process that sends says that it lives. */
async function beat() {
  const database = createPostgresDatabase({ url: env.DATABASE_URL ?? "" });
  await createPresence(database, {
    workerId: Bun.randomUUIDv7(),
    region: "local",
    role: "worker",
    replyTimeoutMs: 1_000,
    deadAfterMs: 5_000,
  }).beat();
  await database.close();
}

/** The report for programs, of these settings put over the right ones. */
async function report(over: Record<string, string> = {}, args: string[] = []) {
  const { code, stdout, tookMs } = await run({ ...env, ...over }, ["--json", ...args]);
  const { checks, ...rest } = JSON.parse(stdout) as DoctorReport;
  const of = (name: string) => checks.find(({ check }) => check === name) as Finding;
  return { code, tookMs, checks, of, ...rest };
}

test("former secrets of tokens are told of, and the current one among them is a warning", async () => {
  const JWT_SECRETS_OLD = "the secret in force before";
  const listed = await report({ JWT_SECRETS_OLD });
  expect(listed.of("token secrets")).toMatchObject({ status: "ok", advice: null });
  const wrong = await report({ JWT_SECRETS_OLD: `${JWT_SECRETS_OLD},${env.JWT_SECRET}` });
  expect(wrong.of("token secrets").status).toBe("warning");
  expect((await report()).of("token secrets")).toBeUndefined();
  // Without a database there are no generated secrets either.
  const early = await run({ DATA_DIR: guardedFolder("doctor"), JWT_SECRETS_OLD }, []);
  expect(early.stdout).toContain("1 former secret still verifies tokens");
});

test("a Redis that answers and refuses writes has failed, with what to do", async () => {
  const full = await startRedis();
  const client = new Redis(full.url);
  await client.config("SET", "maxmemory", "1");
  client.disconnect();
  const { code, checks } = await report({ REDIS_URL: full.url });
  const refused = checks.find(({ check, status }) => check === "queue" && status === "failed");
  expect(refused?.saw).toBe("Redis refuses writes (OOM): it is at its maxmemory");
  expect(refused?.advice).toContain("Raise maxmemory");
  expect(code).toBe(1);
  await full.stop();
});

test("API keys that act as an admin are named, with a warning where one never ends", async () => {
  const { url } = await freshDatabase();
  const database = createPostgresDatabase({ url });
  const keys = createApiKeys(database);
  const make = async (name: string, expiresAt: Date | null) => {
    const { prefix, hash } = createApiKey();
    const made = { id: Bun.randomUUIDv7(), prefix, hash, madeBy: null, origin: null };
    await keys.create(
      { ...made, name, scopes: ["admin"], expiresAt },
      { role: "admin", sub: "olga" },
    );
  };
  await make("deploy", new Date("2040-01-02T00:00:00Z"));
  const seen = (await report({ DATABASE_URL: url })).of("admin keys");
  expect(seen).toMatchObject({
    status: "ok",
    saw: expect.stringContaining("of olga, expires 2040-01-02"),
  });
  await make("forgotten", null);
  const warned = (await report({ DATABASE_URL: url })).of("admin keys");
  expect(warned).toMatchObject({
    status: "warning",
    saw: expect.stringContaining("never expires"),
  });
  await database.close();
});

test("what is paused is a warning that says who stopped it, and why", async () => {
  const { url } = await freshDatabase();
  const database = createPostgresDatabase({ url });
  const by = { claims: { role: "admin", sub: "olga" }, origin: null } as const;
  const asked = { kind: "region", name: "local", reason: "wrong template" } as const;
  await createPauses(database).pause(asked, by);
  await database.close();
  const { of } = await report({ DATABASE_URL: url });
  expect(of("sending").status).toBe("warning");
  expect(of("sending").saw).toMatch(/^sending of the region local is paused .* by olga \(wrong te/);
});

test("a journal that does not verify has failed, with the command that names the entry", async () => {
  const { url } = await freshDatabase();
  const database = createPostgresDatabase({ url });
  const told = (broken: object | null) =>
    database.rpc("note_verified", { position: 0, broken }, partClaims("maintenance"));
  await told({ owner_id: "ada", number: 3, position: 7, reason: "hash" });
  const broken = (await report({ DATABASE_URL: url })).of("journal");
  expect(broken).toMatchObject({
    status: "failed",
    saw: expect.stringMatching(/^does not verify, found at 20\d\d-/),
    advice: expect.stringContaining("audit verify"),
  });
  await told(null);
  expect((await report({ DATABASE_URL: url })).of("journal").status).toBe("ok");
  await database.close();
});

test("the zone data are named, and a local time that others resolved is a warning", async () => {
  const { url } = await freshDatabase();
  const database = createPostgresDatabase({ url });
  const resolve = (timezone: string) => {
    const wish = { localTime: "2035-07-01T09:00", gap: "later", overlap: "first" } as const;
    const resolved = resolveWallClock({ ...wish, timezone });
    if (!("value" in resolved)) throw new Error(resolved.fault);
    return resolved.value;
  };
  const berlin = resolve("Europe/Berlin");
  const known = newEmail({ wallClock: berlin, scheduledAt: berlin.scheduledAt });
  await store(createEmails(database), [known]);
  const { version } = zoneData();
  expect((await report({ DATABASE_URL: url })).of("time zones")).toMatchObject({
    status: "ok",
    saw: expect.stringContaining(`are of ICU ${version}`),
  });
  const older = { ...berlin, zoneData: "1.0-00000000" };
  await store(createEmails(database), [
    newEmail({ wallClock: older, scheduledAt: berlin.scheduledAt }),
  ]);
  expect((await report({ DATABASE_URL: url })).of("time zones")).toMatchObject({
    status: "warning",
    saw: expect.stringContaining("local times that 1.0-00000000 resolved"),
  });
  await database.close();
});

describe("exit 0", () => {
  test("when everything is right, with a line for every part", async () => {
    await beat();
    const { code, status, checks, fix, server } = await report();
    expect(checks.filter((finding) => finding.status !== "ok")).toEqual([]);
    expect([code, status, fix, server]).toEqual([0, "ok", null, null]);
    expect(checks.map(({ check }) => check)).toEqual([
      "configuration",
      "database",
      "schema",
      "durability",
      "database tls",
      "queue",
      "redis policy",
      "redis persistence",
      "redis tls",
      "smtp",
      "clock",
      "sender",
      "encryption key",
      "work",
      "dead letters",
      "journal",
      "sending",
      "admin keys",
      "time zones",
    ]);
    for (const finding of checks) {
      expect(Object.keys(finding)).toEqual(["check", "status", "saw", "advice"]);
    }
    expect(sink.acceptances).toHaveLength(0);
  });

  test("the same as a table", async () => {
    const { code, stdout } = await run(env);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ok {7}database +PostgreSQL \d+/m);
    expect(stdout).toMatch(/^ok {7}smtp +127\.0\.0\.1:\d+ accepts our login, over TLS$/m);
  });

  test("with nothing set and nothing started, and no database is made by looking", async () => {
    const DATA_DIR = join(guardedFolder("doctor"), "data");
    const { code, stdout } = await run({ DATA_DIR }, ["--json"]);
    const { checks } = JSON.parse(stdout) as DoctorReport;
    expect(code).toBe(0);
    expect(checks.find(({ check }) => check === "database")?.saw).toContain("there is none");
    expect(existsSync(DATA_DIR)).toBe(false);
  });
});

describe("exit 1, with what to do", () => {
  test("a Redis that may evict jobs", async () => {
    const evicting = await startRedis({ maxmemoryPolicy: "allkeys-lru" });
    const { code, of } = await report({ REDIS_URL: evicting.url });
    await evicting.stop();
    expect([code, of("redis policy").status]).toEqual([1, "failed"]);
    expect(of("redis policy").advice).toContain("noeviction");
  });

  test("no Redis", async () => {
    const { code, of } = await report({ REDIS_URL: `redis://127.0.0.1:${await freePort()}` });
    expect([code, of("queue").status]).toEqual([1, "failed"]);
    expect(of("queue").saw).toContain("ECONNREFUSED");
  });

  test("a wrong SMTP password, which is not shown", async () => {
    const { code, of, checks } = await report({ SMTP_PASS: "the-wrong-password" });
    expect([code, of("smtp").status]).toEqual([1, "failed"]);
    expect(of("smtp").saw).toContain("535");
    expect(of("smtp").advice).toContain("SMTP_PASS");
    expect(JSON.stringify(checks)).not.toContain("the-wrong-password");
  });

  test("nobody at the SMTP port, and an authority nobody trusts", async () => {
    const down = await report({ SMTP_PORT: `${await freePort()}` });
    expect([down.code, down.of("smtp").status]).toEqual([1, "failed"]);
    expect(down.of("smtp").advice).toContain("SMTP_PORT");
    const untrusted = await report({ SMTP_TLS_CA: "" });
    expect([untrusted.code, untrusted.of("smtp").status]).toEqual([1, "failed"]);
    expect(untrusted.of("smtp").advice).toContain("SMTP_TLS_CA");
  });

  test("a migration that is missing, by its name", async () => {
    const { url } = await freshDatabase();
    const ledger = "supabase_migrations.schema_migrations";
    await runOnce(url, `delete from ${ledger} where name = 'schema'`);
    const { code, of } = await report({ DATABASE_URL: url, AUTO_MIGRATE: "false" });
    expect([code, of("schema").status]).toEqual([1, "failed"]);
    expect(of("schema").saw).toContain("_schema");
    expect(of("schema").advice).toContain("taskforce-mailer migrate");
  });

  test("a database of an earlier schema, with the command that begins anew", async () => {
    const server = await sharedPostgres();
    const url = await server.createDatabase(`earlier_${crypto.randomUUID().slice(0, 8)}`);
    await runOnce(url, EARLIER_SCHEMA);
    const { code, of } = await report({ DATABASE_URL: url });
    expect([code, of("schema").status]).toEqual([1, "failed"]);
    expect(of("schema").saw).toContain("20261124000029");
    expect(of("schema").advice).toContain("drop schema if exists mailer");
  });

  test("a database that is not there, or does not let us in", async () => {
    const gone = await report({ DATABASE_URL: `postgres://a@127.0.0.1:${await freePort()}/a` });
    expect([gone.code, gone.of("database").status]).toEqual([1, "failed"]);
    expect(gone.of("database").saw).toContain("ECONNREFUSED");
    const url = new URL(env.DATABASE_URL ?? "");
    url.pathname = "/no_such_database";
    const wrong = await report({ DATABASE_URL: url.href });
    expect(wrong.of("database").advice).toContain("name in DATABASE_URL");
  });

  test("servers that take the connection and stay silent, within ten seconds", async () => {
    const silent = createServer(() => {}).listen(0, "127.0.0.1");
    await new Promise((resolve) => silent.once("listening", resolve));
    const address = silent.address();
    const port = typeof address === "object" ? `${address?.port}` : "";
    const { code, of, tookMs } = await report({
      DATABASE_URL: `postgres://a@127.0.0.1:${port}/a`,
      REDIS_URL: `redis://127.0.0.1:${port}`,
      SMTP_PORT: port,
    });
    silent.close();
    expect(code).toBe(1);
    for (const name of ["database", "queue", "smtp"]) expect(of(name).status).toBe("failed");
    expect(tookMs).toBeLessThan(12_000);
  });

  test("another encryption key than the database's own", async () => {
    const { url } = await freshDatabase();
    const database = createPostgresDatabase({ url });
    const keyRing = createKeyRing({ current: "cd".repeat(32), old: [] });
    const options = { region: "local", role: "all", replyTimeoutMs: 1 } as const;
    const workerId = Bun.randomUUIDv7();
    await createPresence(database, { ...options, workerId, deadAfterMs: 1 }).checkKey(keyRing);
    await database.close();
    const { code, of } = await report({ DATABASE_URL: url });
    expect([code, of("encryption key").status]).toEqual([1, "failed"]);
    expect(of("encryption key").advice).toContain("ENCRYPTION_KEY");
  });

  test("settings that cannot be used, one finding for each", async () => {
    const { code, checks } = await report({ JWT_SECRET: "short", SMTP_PORT: "x" });
    expect(code).toBe(1);
    expect(checks.map(({ check }) => check)).toEqual(["configuration", "configuration"]);
    expect(JSON.stringify(checks)).not.toContain('"short"');
  });
});

test("--fix returns what dead processes had claimed, once", async () => {
  const { url } = await freshDatabase();
  const database = createPostgresDatabase({ url });
  const options = { region: "local", role: "all", replyTimeoutMs: 1, deadAfterMs: 5_000 } as const;
  const workerId = Bun.randomUUIDv7();
  await createPresence(database, { ...options, workerId }).beat();
  const attempts = createAttempts(database, { workerId, region: "local", transport: "smtp" });
  await store(createEmails(database), [newEmail(), newEmail()]);
  const asked = { region: "local", limit: 9, aheadMs: 0, perOwner: 9, holds: {}, after: "" };
  expect((await attempts.claimDue({ ...asked, suspects: false })).emails).toHaveLength(2);
  await database.close();
  await runOnce(url, "update mailer.workers set stopped_at = now()");

  const first = await report({ DATABASE_URL: url }, ["--fix"]);
  expect(first.fix).toMatchObject({ dead_workers: 0, taken_over: 2 });
  expect(first.of("fix")).toMatchObject({ status: "ok" });
  // Nobody sends, and that is for a person to mend.
  expect([first.code, first.of("work").status]).toEqual([1, "failed"]);
  const again = await report({ DATABASE_URL: url }, ["--fix"]);
  expect(again.fix).toMatchObject({ taken_over: 0 });
  expect((await run({ ...env, DATABASE_URL: url }, ["--fix"])).stdout).toContain(
    "Reconciled once: nothing was amiss.",
  );
});

test("--fix needs no queue", async () => {
  const REDIS_URL = `redis://127.0.0.1:${await freePort()}`;
  const { code, fix, of } = await report({ REDIS_URL }, ["--fix"]);
  expect([code, of("fix").status, fix?.taken_over]).toEqual([1, "ok", 0]);
});

test("--fix touches nothing while the database is not ready", async () => {
  const { url } = await freshDatabase();
  await runOnce(url, "delete from supabase_migrations.schema_migrations");
  const behind = await report({ DATABASE_URL: url, AUTO_MIGRATE: "false" }, ["--fix"]);
  expect([behind.fix, behind.of("fix").status]).toEqual([null, "warning"]);
});

test("exit 2 for an argument it does not know", async () => {
  const { code, stderr } = await run(env, ["--repair"]);
  expect(code).toBe(2);
  expect(stderr).toContain("Usage: taskforce-mailer doctor");
});
