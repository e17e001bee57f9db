import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { inMs, schedule, statusOf } from "../testing/product/email-requests.ts";
import {
  guardedFolder,
  type Product,
  runProduct,
  spawnProduct,
  startProduct,
} from "../testing/product/product.ts";
import { until } from "../testing/servers/child-server.ts";
import {
  runOnce,
  type SharedPostgres,
  sharedPostgres,
} from "../testing/servers/postgres-server.ts";

setDefaultTimeout(120_000);

const otherKey = "9f2c71d40be8a6355c1e07f8d2b94a63e01d8f7c6b52a9430e7dc81f5a3692bb";
const dataDir = guardedFolder("embedded");
const user = `mover_${crypto.randomUUID().slice(0, 8)}`;
const ids = { sent: "", soon: "", ahead: "", held: "" };
let postgres: SharedPostgres;
let key = "";
let secrets: Record<string, string> = {};
const databases: string[] = [];
const products: Product[] = [];

/** An empty database whose owner may do no more than migrate asks for. */
async function emptyDatabase(): Promise<string> {
  const name = `moved_${crypto.randomUUID().slice(0, 8)}`;
  databases.push(name);
  const url = new URL(await postgres.createDatabase(name));
  await runOnce(postgres.adminUrl, `alter database ${name} owner to ${user}`);
  url.username = user;
  return url.href;
}

const asAdmin = (url: string) => {
  const admin = new URL(url);
  admin.username = new URL(postgres.adminUrl).username;
  return admin.href;
};
const targetEnv = (url: string): Record<string, string> => ({
  DATABASE_URL: url,
  ENCRYPTION_KEY: secrets.encryption_key ?? "",
  JWT_SECRET: secrets.jwt_secret ?? "",
  REGION: "fra",
  TRANSPORT: "capture",
});
const move = (url: string, ...args: string[]) =>
  runProduct(["migrate", "--from", dataDir, ...args], { env: targetEnv(url) });
const movedJson = () => JSON.parse(readFileSync(join(dataDir, "moved.json"), "utf8"));

beforeAll(async () => {
  postgres = await sharedPostgres();
  await runOnce(postgres.adminUrl, `create role ${user} login createrole`);
  const product = await startProduct({ dataDir });
  products.push(product);
  ids.sent = await schedule(product, { subject: "Sent before the move", tags: ["receipt"] });
  await statusOf(product, ids.sent, ["sent"]);
  ids.ahead = await schedule(product, { subject: "Next hour", scheduled_at: inMs(3_600_000) });
  ids.held = await schedule(product, { subject: "Held", scheduled_at: inMs(3_600_000) });
  await product.api("POST", `/api/v1/emails/${ids.held}/hold`);
  const made = await product.api<{ key: string }>("POST", "/api/v1/api-keys", {
    name: "app",
    scopes: ["send", "read"],
  });
  key = made.body.data.key;
  // A pause goes with the emails that it keeps.
  const olga = await product.token("olga", "admin");
  await product.api("POST", "/api/v1/pause", { reason: "before the move" }, olga);
  ids.soon = await schedule(product, { subject: "Due meanwhile", scheduled_at: inMs(1_000) });
});

afterAll(async () => {
  await Promise.all(products.map((each) => each.kill()));
  for (const name of databases) {
    await runOnce(postgres.adminUrl, `drop database ${name} with (force)`);
  }
});

test("beside its server nothing is moved, and neither without its key", async () => {
  const url = await emptyDatabase();
  secrets = JSON.parse(readFileSync(join(dataDir, "secrets.json"), "utf8"));
  const beside = await move(url);
  expect([beside.code, beside.output]).toEqual([1, expect.stringContaining("stop it first")]);
  await products[0]?.stop();
  const env = { ...targetEnv(url), ENCRYPTION_KEY: otherKey };
  const wrong = await runProduct(["migrate", "--from", dataDir], { env });
  expect([wrong.code, wrong.output]).toEqual([
    1,
    expect.stringContaining(`set ENCRYPTION_KEY to encryption_key of ${dataDir}/secrets.json`),
  ]);
  const nowhere = await runProduct(["migrate", "--from", join(dataDir, "none")], {
    env: targetEnv(url),
  });
  expect([nowhere.code, nowhere.output]).toEqual([1, expect.stringContaining("no embedded")]);
  const embedded = await runProduct(["migrate", "--from", dataDir]);
  expect([embedded.code, embedded.output]).toEqual([1, expect.stringContaining("DATABASE_URL")]);
  const usage = await runProduct(["migrate", "--abandon"], { env: targetEnv(url) });
  expect([usage.code, usage.output]).toEqual([2, expect.stringContaining("needs --from")]);
});

test("killed half-way, nothing is there, no server starts, and another run moves all of it", async () => {
  const url = await emptyDatabase();
  expect((await runProduct(["migrate"], { env: targetEnv(url) })).code).toBe(0);
  const holder = new pg.Client({ connectionString: url });
  holder.on("error", () => {});
  await holder.connect();
  await holder.query("begin");
  await holder.query("lock table mailer.webhook_deliveries in access share mode");
  const killed = spawnProduct(["migrate", "--from", dataDir], { env: targetEnv(url) });
  await until("it waits for the lock", async () => {
    // From elsewhere: within a transaction this view never changes.
    const waiting = await runOnce(
      postgres.adminUrl,
      `select from pg_stat_activity where wait_event_type = 'Lock' and usename = '${user}'`,
    );
    return waiting.length > 0;
  }).catch((error: unknown) => {
    throw new Error(`${error}: ${killed.output()}`);
  });
  killed.child.kill("SIGKILL");
  await killed.exited;
  await holder.end();
  expect(movedJson()).toMatchObject({ ended_at: null });

  const serve = await runProduct(["serve"], { dataDir });
  expect([serve.code, serve.output]).toEqual([1, expect.stringContaining("not seen to end")]);
  const elsewhere = await move(await emptyDatabase());
  expect([elsewhere.code, elsewhere.output]).toEqual([
    1,
    expect.stringContaining("or may have been"),
  ]);

  const abandoned = await move(url, "--abandon", "--json");
  expect([abandoned.code, JSON.parse(abandoned.output)]).toEqual([0, { abandoned: dataDir }]);
  const { code, output } = await move(url, "--json");
  expect([code, output]).toEqual([0, expect.stringContaining("{")]);
  expect(JSON.parse(output)).toMatchObject({
    ...{ from: dataDir, was_done: false, keeps_tokens: true, pending: 2 },
    tables: { emails: 4, contents: 4, recipients: 4, attempts: 1, api_keys: 1, webhooks: 0 },
  });
  const doctor = await runProduct(["doctor", "--json"], { dataDir });
  expect(doctor.output).toContain(`was moved to ${user}@127.0.0.1`);
  const back = await move(url, "--abandon");
  expect([back.code, back.output]).toEqual([1, expect.stringContaining("a second time")]);

  await goesOn(url);

  // Killed between the commit and the mark: what the target knows decides.
  writeFileSync(join(dataDir, "moved.json"), JSON.stringify({ ...movedJson(), ended_at: null }));
  const late = await move(url, "--abandon");
  expect([late.code, late.output]).toEqual([1, expect.stringContaining("a second time")]);
  const again = await move(url, "--json");
  expect(JSON.parse(again.output)).toMatchObject({ was_done: true });
  expect(movedJson()).toMatchObject({ ended_at: expect.any(String) });

  // The same place, and another database there: what was sent since would be sent again.
  await runOnce(asAdmin(url), "delete from mailer.settings where name = 'moved_from'");
  const other = await move(url);
  expect([other.code, other.output]).toEqual([1, expect.stringContaining("does not know of it")]);
});

/** The database at `url` has it all, and sends what was due, once. */
async function goesOn(url: string): Promise<void> {
  // Another region: what waits belongs to it from the move on.
  const product = await startProduct({ env: targetEnv(url) });
  products.push(product);
  const admin = await product.token("olga", "admin");
  expect((await statusOf(product, ids.soon, ["pending"])).attempts).toHaveLength(0);
  const resumed = await product.api("POST", "/api/v1/resume", {}, admin);
  expect([resumed.status, resumed.text]).toEqual([200, expect.stringContaining("fra")]);
  expect((await statusOf(product, ids.soon, ["sent"])).attempts).toHaveLength(1);
  const { body } = await product.api("GET", `/api/v1/status/${ids.sent}`);
  expect(body.data).toMatchObject({ status: "sent", subject: "Sent before the move" });
  expect(body.data.attempts).toHaveLength(1);
  expect((await statusOf(product, ids.ahead, ["pending"])).subject).toBe("Next hour");
  expect((await statusOf(product, ids.held, ["held"])).subject).toBe("Held");
  await product.api("POST", `/api/v1/emails/${ids.held}/release`);
  const byKey = await fetch(`${product.url}/api/v1/status/${ids.ahead}`, {
    headers: { authorization: `Bearer ${key}` },
  });
  expect(byKey.status).toBe(200);
  await schedule(product, { subject: "After the move" });
  const verified = await runProduct(["audit", "verify", "--json"], { env: targetEnv(url) });
  expect([verified.code, verified.output]).toEqual([0, expect.stringContaining("{")]);
  const stats = await product.api<{ by_status: Record<string, number> }>(
    ...(["GET", "/api/v1/queue-stats", undefined, admin] as const),
  );
  expect(stats.status).toBe(200);
  await product.stop();
  // A copy of the folder does not know what was sent since, and two histories cannot be joined.
  const copied = await runProduct(["migrate", "--from", guardedCopy()], { env: targetEnv(url) });
  expect([copied.code, copied.output]).toEqual([1, expect.stringContaining("restored or copied")]);
  const mark = readFileSync(join(dataDir, "moved.json"));
  rmSync(join(dataDir, "moved.json"));
  const again = await move(url);
  expect([again.code, again.output]).toEqual([1, expect.stringContaining("rows in emails")]);
  writeFileSync(join(dataDir, "moved.json"), mark);
}

/** The same database in another folder, where no mark lies. */
function guardedCopy(): string {
  const copy = guardedFolder("copy");
  Bun.spawnSync(["cp", "-r", join(dataDir, "database"), join(dataDir, "secrets.json"), copy]);
  return copy;
}
