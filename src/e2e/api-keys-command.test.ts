import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  guardedFolder,
  type Product,
  runProduct,
  startProduct,
} from "../testing/product/product.ts";
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

/** `api-keys …`; its output, and that it exits with this code. */
async function run(settings: Settings, args: string[], code = 0): Promise<string> {
  const ended = await runProduct(["api-keys", ...args], settings);
  expect({ args, code: ended.code, output: code === 0 ? "" : ended.output }).toEqual({
    args,
    code,
    output: code === 0 ? "" : ended.output,
  });
  return ended.output.trim();
}

function statusOf(product: Product, key: string): Promise<number> {
  const headers = { authorization: `Bearer ${key}` };
  return fetch(`${product.url}/api/v1/scheduled-emails`, { headers }).then(({ status }) => status);
}

async function expectWholeLife(settings: Settings, product: Product | null): Promise<void> {
  const create = ["create", "--sub", "ada", "--name", "ci", "--scopes", "read,send"];
  // The key alone on stdout; when it ends, on stderr.
  const [key = "", expiry] = (await run(settings, create)).split("\n");
  expect(key).toMatch(/^tfm_[0-9A-Za-z]{46}$/);
  expect(expiry).toMatch(/^expires \d{4}-/);
  if (product) expect(await statusOf(product, key)).toBe(200);

  const [listed] = JSON.parse(await run(settings, ["list", "--sub", "ada", "--json"]));
  expect(listed).toMatchObject({ owner: "ada", prefix: key.slice(0, 12), revoked_at: null });
  expect(await run(settings, ["list", "--sub", "bob", "--json"])).toBe("[]");
  const lines = await run(settings, ["list"]);
  expect(lines).toContain(listed.id);
  expect(lines).not.toContain(key.slice(12));

  expect(await run(settings, ["revoke", listed.id])).toBe(`revoked ${listed.id}`);
  const [revoked] = JSON.parse(await run(settings, ["list", "--sub", "ada", "--json"]));
  expect(revoked.revoked_at).toMatch(/Z$/);
  if (!product) return;
  const startedAt = performance.now();
  while ((await statusOf(product, key)) !== 401) {
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    await Bun.sleep(50);
  }
}

describe("api-keys", () => {
  test("on the embedded database: through the server that has it, and without one", async () => {
    const settings = { dataDir: guardedFolder("keys") };
    const product = await startProduct(settings);
    products.push(product);
    await expectWholeLife(settings, product);
    await run(settings, ["create", "--sub", "r", "--name", "x", "--scopes", "admin"]);
    const unknown = ["revoke", crypto.randomUUID()];
    expect(await run(settings, unknown, 1)).toContain("no API key with this id");
    await product.stop();
    const { length } = JSON.parse(await run(settings, ["list", "--json"]));
    expect(length).toBe(2);
    await run(settings, unknown, 1);
  });

  test("on PostgreSQL: in the database, beside whatever servers there are", async () => {
    const { url } = await freshDatabase();
    const settings = { env: { ...shared, DATABASE_URL: url } };
    const product = await startProduct(settings);
    products.push(product);
    await expectWholeLife(settings, product);
  });

  test.each([
    [[]],
    [["make"]],
    [["create"]],
    [["create", "--sub", "a", "--name", "x"]],
    [["create", "--sub", "a", "--name", "x", "--scopes", "send,all"]],
    [["create", "--sub", "a", "--name", "", "--scopes", "send"]],
    [["create", "--sub", "", "--name", "x", "--scopes", "send"]],
    [["create", "--sub", "a", "--name", "x", "--scopes", "send", "--expires", "soon"]],
    [["revoke", "tfm_abc"]],
    [["revoke"]],
    [["list", "all"]],
  ])("%j makes no sense, and says so before anything is opened", async (args) => {
    const settings = { env: { DATABASE_URL: "no url at all" } };
    expect(await run(settings, args, 2)).toContain("Usage: taskforce-mailer api-keys create");
  });
});
