import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import {
  guardedFolder,
  type Product,
  runProduct,
  startProduct,
} from "../testing/product/product.ts";
import { until } from "../testing/servers/child-server.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";

setDefaultTimeout(120_000);

const products: Product[] = [];
afterAll(() => Promise.all(products.map((product) => product.kill())));

type Settings = NonNullable<Parameters<typeof runProduct>[1]>;

const shared = {
  JWT_SECRET: "a-secret-only-these-tests-know",
  ENCRYPTION_KEY: "9f2c71d40be8a6355c1e07f8d2b94a63e01d8f7c6b52a9430e7dc81f5a3692bb",
  TRANSPORT: "capture",
};
const files = guardedFolder("audit-files");

function file(name: string, text: string): string {
  const path = join(files, name);
  writeFileSync(path, text);
  return path;
}

/** `audit …`; its output, and that it exits with this code. */
async function run(settings: Settings, args: string[], code = 0): Promise<string> {
  const { output, ...ended } = await runProduct(["audit", ...args], settings);
  expect({ args, ...ended, output }).toEqual({ args, code, output });
  return output;
}

async function startWith(settings: Settings, emails: number): Promise<Product> {
  const product = await startProduct(settings);
  products.push(product);
  const later = new Date(Date.now() + 86_400_000).toISOString();
  for (let count = 0; count < emails; count += 1) {
    const mail = { recipients: ["b@example.com"], subject: "s", body: "b", scheduled_at: later };
    await product.api("POST", "/api/v1/schedule-mail", mail, count === 0 ? "zoë" : "ada");
  }
  await until("the journal is sealed", async () => {
    const { body } = await product.api<unknown[]>("GET", "/api/v1/audit", undefined, "ada");
    return body.data.length >= emails - 1;
  });
  return product;
}

/** Everything that can be done with a journal of four entries, by the database and by files. */
async function expectWholeLife(settings: Settings): Promise<{ checkpoint: string }> {
  const ok = await run(settings, ["verify", "--json"]);
  expect(JSON.parse(ok)).toMatchObject({ ok: true, checked: 4, first_broken: null });
  expect(await run(settings, ["verify", "--owner", "zoë"])).toContain("ok: 1 entries of 1 owners");
  const checkpoint = await run(settings, ["checkpoint"]);
  const kept = file("checkpoint.json", checkpoint);
  const { key } = JSON.parse(checkpoint);
  await run(settings, ["verify", "--checkpoint", kept, "--public-key", key]);
  const other = Buffer.alloc(32).toString("base64");
  const refused = ["verify", "--checkpoint", kept, "--public-key", other];
  expect(await run(settings, refused, 1)).toContain("is signed by");

  const exported = await run(settings, ["export"]);
  const own = await run(settings, ["export", "--owner", "ada"]);
  const offline = { env: {} };
  const whole = file("export.ndjson", exported);
  expect(await run(offline, ["verify", whole, "--checkpoint", kept])).toContain("ok: 4 entries");
  expect(await run(offline, ["verify", file("own.ndjson", own)])).toContain("ok: 3 entries");
  const lines = exported.trimEnd().split("\n");
  const cut = file("cut.ndjson", `${lines.slice(0, 3).join("\n")}\n`);
  await run(offline, ["verify", cut]);
  const cutOff = await run(offline, ["verify", cut, "--checkpoint", kept], 1);
  expect(cutOff).toContain("at position 4 is missing");
  const forged = file("forged.ndjson", exported.replace('"actor":"zoë"', '"actor":"eve"'));
  expect(await run(offline, ["verify", forged], 1)).toContain('entry 1 of owner "zoë"');
  return { checkpoint: kept };
}

describe("audit", () => {
  test("on the embedded database: through the server that has it, and without one", async () => {
    const settings = { dataDir: guardedFolder("audit") };
    const product = await startWith(settings, 4);
    const { checkpoint } = await expectWholeLife(settings);
    await product.stop();
    const verified = await run(settings, ["verify", "--checkpoint", checkpoint]);
    expect(verified).toContain("ok: 4 entries of 2 owners");
  });

  test("on PostgreSQL: what its owner tampered with is named", async () => {
    const { url } = await freshDatabase();
    const settings = { env: { ...shared, DATABASE_URL: url } };
    const product = await startWith(settings, 4);
    await product.stop();
    const { checkpoint } = await expectWholeLife(settings);
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query("alter table mailer.journal disable trigger user");
    await client.query(
      `update mailer.journal set origin = '192.0.2.1'
       where id = (select entry_id from mailer.seals where owner_id = 'ada' and number = 2)`,
    );
    await client.end();
    for (const more of [[], ["--checkpoint", checkpoint]]) {
      expect(await run(settings, ["verify", ...more], 1)).toContain('entry 2 of owner "ada"');
    }
    expect(JSON.parse(await run(settings, ["verify", "--json"], 1))).toMatchObject({
      ok: false,
      first_broken: 2,
      owner_id: "ada",
      reason: "hash",
    });
  });

  test.each([
    [[]],
    [["check"]],
    [["verify", "a", "b"]],
    [["export", "a"]],
    [["export", "--checkpoint", "x"]],
    [["verify", "--public-key", "x"]],
    [["verify", "--owner", ""]],
    [["verify", "--since", "x"]],
  ])("%j is no command line: exit 2", async (args) => {
    expect(await run({}, args, 2)).toContain("Usage: taskforce-mailer audit");
  });

  test("a file that is no export, or no checkpoint, is refused by name", async () => {
    const text = file("text", "hello\n");
    expect(await run({}, ["verify", text], 1)).toContain("line 1");
    const refused = await run({}, ["verify", text, "--checkpoint", text], 1);
    expect(refused).toContain("expected a checkpoint");
    const none = join(files, "none");
    expect(await run({}, ["verify", none], 1)).toContain("ENOENT");
  });
});
