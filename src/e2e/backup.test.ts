import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { inMs, schedule, statusOf } from "../testing/product/email-requests.ts";
import {
  guardedFolder,
  type Product,
  runProduct,
  startProduct,
} from "../testing/product/product.ts";
import { until } from "../testing/servers/child-server.ts";

setDefaultTimeout(120_000);

const folder = guardedFolder("backups");
const file = join(folder, "night.tar.gz");
/** Sent before the backup; due after it, and sent by the original; far ahead. */
const ids = { sent: "", due: "", ahead: "" };
let report: Record<string, unknown>;
const stopped: Product[] = [];
afterAll(() => Promise.all(stopped.map((each) => each.kill())));

/** Starts on a folder; it ends with this file. */
async function start(dataDir: string): Promise<Product> {
  const product = await startProduct({ dataDir });
  stopped.push(product);
  return product;
}

const restore = (from: string, dataDir: string, ...args: string[]) => {
  // Every command of these tests works in the folder it is about.
  mkdirSync(dataDir, { recursive: true });
  return runProduct(["restore", from, ...args], { dataDir });
};
const resume = async (dataDir: string, ...args: string[]) => {
  const { code, output } = await runProduct(["resume", "--restored", ...args, "--json"], {
    dataDir,
  });
  expect([code, output]).toEqual([0, expect.stringContaining("{")]);
  return JSON.parse(output);
};

beforeAll(async () => {
  const product = await start(guardedFolder("original"));
  ids.sent = await schedule(product, { subject: "Before the backup" });
  await statusOf(product, ids.sent, ["sent"]);
  ids.due = await schedule(product, { subject: "After the backup", scheduled_at: inMs(6_000) });
  ids.ahead = await schedule(product, { subject: "Next hour", scheduled_at: inMs(3_600_000) });
  const { code, output } = await runProduct(["backup", file, "--json"], {
    dataDir: product.dataDir,
  });
  expect([code, output]).toEqual([0, expect.stringContaining("{")]);
  report = JSON.parse(output);
  // The original goes on, and sends what its backup knows as pending.
  await statusOf(product, ids.due, ["sent"]);
  expect(readdirSync(product.dataDir).filter((name) => name.includes("tmp-"))).toEqual([]);
  await product.stop();
});

test("a backup is made while the server serves, whole and for its owner's eyes alone", () => {
  expect(report).toMatchObject({ file, has_secrets: true, held_ms: expect.any(Number) });
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder)).toEqual(["night.tar.gz"]);
  const listed = Bun.spawnSync(["tar", "-tzf", file]).stdout.toString().trim().split("\n");
  expect(listed[0]).toBe("manifest.json");
  expect(listed.at(-1)).toBe("SHA256SUMS");
  expect(listed).toContain("secrets.json");
  expect(listed).toContain(`captured/${ids.sent}.eml`);
  expect(listed).not.toContain("database/postmaster.pid");
});

test("restored, nothing is sent again until a person has decided: hold", async () => {
  const dataDir = join(guardedFolder("restored"), "data");
  const { code, output } = await restore(file, dataDir, "--json");
  expect([code, JSON.parse(output)]).toEqual([0, expect.objectContaining({ has_secrets: true })]);
  expect(readdirSync(dataDir).sort()).toEqual(
    ["captured", "database", "lock.sqlite", "restored.id", "secrets.json"].sort(),
  );

  const product = await start(dataDir);
  // An email that was sent before is known, and can be read: the key came with it.
  const { body } = await product.api("GET", `/api/v1/status/${ids.sent}`);
  expect(body.data).toMatchObject({ status: "sent", subject: "Before the backup" });
  const log = product
    .output()
    .split("\n")
    .find((line) => line.includes("restored or copied"));
  expect(JSON.parse(log ?? "{}")).toMatchObject({
    ...{ level: "warn", count: 1, email_id: ids.due },
    reason: expect.stringContaining("1 email was due after"),
  });
  const health = (await (await fetch(`${product.url}/health`)).json()) as {
    status: string;
    components: { sending: { detail: string } };
  };
  expect(health.status).toBe("degraded");
  expect(health.components.sending.detail).toContain("all sending is paused since");
  const admin = await product.token("olga", "admin");
  const page = (await product.api("GET", "/", undefined, admin)).text;
  expect(page).toContain("<strong>Paused:</strong> all sending is paused since");
  const doctor = await runProduct(["doctor", "--json"], { dataDir });
  expect(doctor.output).toContain(`1 email was due between`);
  expect(doctor.output).toContain(ids.due);
  const fresh = await schedule(product, { subject: "Accepted after the restore" });
  // The dispatcher looks every second, and a resume of the region is not what was asked for.
  const { output: plain } = await runProduct(["resume", "--json"], { dataDir });
  expect(JSON.parse(plain)).toMatchObject({ was_paused: false });
  const before = Date.now();
  await until("it would long have gone out", () => Date.now() > before + 2_500);
  expect(readdirSync(join(dataDir, "captured")).filter((name) => name.includes(ids.due))).toEqual(
    [],
  );

  expect(await resume(dataDir, "--hold")).toEqual({
    ...{ kind: "database", name: "restored", was_paused: true, held: 1 },
  });
  await statusOf(product, fresh, ["sent"]);
  await statusOf(product, ids.due, ["held"]);
  await statusOf(product, ids.ahead, ["pending"]);
  expect(await resume(dataDir)).toMatchObject({ was_paused: false });
  await product.stop();
});

test("a folder that was copied while nobody served it is paused, and send sends what was due", async () => {
  const dataDir = join(guardedFolder("copied"), "data");
  const restored = join(guardedFolder("restored-first"), "data");
  expect((await restore(file, restored)).code).toBe(0);
  cpSync(restored, dataDir, { recursive: true, preserveTimestamps: true });
  const product = await start(dataDir);
  expect((await product.api("GET", `/api/v1/status/${ids.due}`)).body.data.status).toBe("pending");
  expect(await resume(dataDir)).toMatchObject({ was_paused: true, held: 0 });
  await statusOf(product, ids.due, ["sent"]);
  await product.stop();
  // The decision holds: the same folder is no other copy.
  const again = await start(dataDir);
  await statusOf(again, await schedule(again), ["sent"]);
  await again.stop();
});

describe("a file that is no whole backup is refused by name, and nothing is left", () => {
  const bytes = () => readFileSync(file);
  const flipped = (at: number) => {
    const copy = Buffer.from(bytes());
    copy[at] = (copy[at] ?? 0) ^ 0xff;
    return copy;
  };
  const foreign = () => {
    writeFileSync(join(folder, "notes.txt"), "somebody else's");
    return Bun.spawnSync(["tar", "-czf", "-", "-C", folder, "notes.txt"]).stdout;
  };
  test.each([
    ["cut off", () => bytes().subarray(0, bytes().length >> 1), /damaged or was cut off/],
    ["cut off at its end", () => bytes().subarray(0, -9), /damaged or was cut off/],
    ["changed in the middle", () => flipped(bytes().length >> 1), /is damaged/],
    ["a tar of others", foreign, /is no backup of taskforce-mailer/],
    ["no archive", () => Buffer.from("hello"), /is no backup of taskforce-mailer/],
    ["empty", () => Buffer.alloc(0), /damaged or was cut off|is no backup/],
  ])("%s", async (name, content, words) => {
    const bad = join(folder, "bad.tar.gz");
    writeFileSync(bad, content());
    const dataDir = join(guardedFolder(`bad-${name.replaceAll(" ", "-")}`), "data");
    const { code, output } = await restore(bad, dataDir);
    expect([code, output]).toEqual([1, expect.stringMatching(words)]);
    expect(output).toContain("Nothing was restored.");
    expect(readdirSync(dataDir)).toEqual(["lock.sqlite"]);
  });

  test("and so is a DATA_DIR that holds a database", async () => {
    const dataDir = guardedFolder("taken");
    mkdirSync(join(dataDir, "database"));
    writeFileSync(join(dataDir, "database", "PG_VERSION"), "18\n");
    const { code, output } = await restore(file, dataDir);
    expect([code, output]).toEqual([1, expect.stringContaining("holds a database already")]);
    expect(readFileSync(join(dataDir, "database", "PG_VERSION"), "utf8")).toBe("18\n");
  });

  test("and one with the secrets of another installation", async () => {
    const dataDir = guardedFolder("secrets");
    writeFileSync(join(dataDir, "secrets.json"), "{}");
    const { code, output } = await restore(file, dataDir);
    expect([code, output]).toEqual([1, expect.stringContaining("of another installation")]);
    expect(existsSync(join(dataDir, "database"))).toBe(false);
    expect(readFileSync(join(dataDir, "secrets.json"), "utf8")).toBe("{}");
  });
});

test("a backup never replaces a file, and says where there is no database", async () => {
  const { dataDir } = stopped[0] as Product;
  const again = await runProduct(["backup", file], { dataDir });
  expect([again.code, again.output]).toEqual([1, `backup: ${file} exists already\n`]);
  const nowhere = await runProduct(["backup"], { dataDir: guardedFolder("nowhere") });
  expect([nowhere.code, nowhere.output]).toEqual([
    1,
    expect.stringMatching(/^backup: there is no embedded database in /),
  ]);
  const server = { DATABASE_URL: "postgres://a@127.0.0.1:1/a", TRANSPORT: "capture" };
  const key = "9f2c71d40be8a6355c1e07f8d2b94a63e01d8f7c6b52a9430e7dc81f5a3692bb";
  const secrets = { ENCRYPTION_KEY: key, JWT_SECRET: "a-secret-only-these-tests-know" };
  const shared = await runProduct(["backup"], { env: { ...server, ...secrets } });
  expect([shared.code, shared.output]).toEqual([1, expect.stringContaining("use pg_dump")]);
});

test("without a server the folder itself is packed, and secrets may stay behind", async () => {
  const { dataDir } = stopped[0] as Product;
  const bare = join(folder, "bare.tar.gz");
  const args = ["backup", bare, "--without-secrets", "--without-captured", "--json"];
  const { output } = await runProduct(args, { dataDir });
  expect(JSON.parse(output)).toMatchObject({ has_secrets: false, held_ms: null });
  const listed = Bun.spawnSync(["tar", "-tzf", bare]).stdout.toString();
  expect(listed).not.toMatch(/secrets|captured/);
  const restored = join(guardedFolder("bare"), "data");
  const { code, output: words } = await restore(bare, restored);
  expect([code, words]).toEqual([0, expect.stringContaining("set ENCRYPTION_KEY")]);
});

/** Only root may mount a disk small enough to fill; elsewhere this is skipped, and says so. */
const small = guardedFolder("small-disk");
const isMounted =
  Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", small]).exitCode === 0;

describe.skipIf(!isMounted)("a disk that fills leaves nothing half-made", () => {
  afterAll(() => {
    Bun.spawnSync(["umount", "-l", small]);
  });

  test("where the backup goes", async () => {
    const { dataDir } = stopped[0] as Product;
    const { code, output } = await runProduct(["backup", join(small, "night.tar.gz")], { dataDir });
    expect([code, output]).toEqual([1, expect.stringMatching(/is full\. Nothing was left there/)]);
    expect(readdirSync(small)).toEqual([]);
  });

  test("where it is restored", async () => {
    const dataDir = join(small, "data");
    const { code, output } = await restore(file, dataDir);
    expect([code, output]).toEqual([1, expect.stringMatching(/is full\. Nothing was restored/)]);
    expect(readdirSync(dataDir)).toEqual(["lock.sqlite"]);
  });
});
