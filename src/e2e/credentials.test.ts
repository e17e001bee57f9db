import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { emailRequest, inMs } from "../testing/product/email-requests.ts";
import type { Product } from "../testing/product/product.ts";
import { type ProductionStack, startStack } from "../testing/product/production-stack.ts";
import { dumpPostgres, dumpRedis } from "../testing/servers/dump.ts";
import { type HttpTarget, startHttpTarget } from "../testing/servers/http-target.ts";

setDefaultTimeout(90_000);

interface KeyAnswer {
  id: string;
  key: string;
}

/** The binary's two processes on one database, an issuer of tokens beside them. */
describe("credentials over two processes", () => {
  let stack: ProductionStack;
  let issuer: HttpTarget;
  let products: [Product, Product];
  const keySet: JWK[] = [];

  beforeAll(async () => {
    issuer = await startHttpTarget((_req, res) => res.end(JSON.stringify({ keys: keySet })));
    stack = await startStack({ env: { LOG_LEVEL: "trace" } });
    // Loopback, so plain http is taken: the operator named it.
    const env = { JWKS_URL: `http://127.0.0.1:${issuer.port}/jwks.json` };
    products = await Promise.all([stack.start(env), stack.start(env)]);
  });
  afterAll(async () => {
    await stack?.close();
    await issuer?.close();
  });

  async function get(product: Product, bearer: string): Promise<number> {
    const headers = { authorization: `Bearer ${bearer}` };
    return (await fetch(`${product.url}/api/v1/scheduled-emails`, { headers })).status;
  }

  /** How long both took until they let nobody in with it, in milliseconds. */
  async function untilRefused(bearer: string): Promise<number> {
    const startedAt = performance.now();
    for (const product of products) {
      while ((await get(product, bearer)) !== 401) {
        if (performance.now() - startedAt > 20_000) return Number.POSITIVE_INFINITY;
        await Bun.sleep(50);
      }
    }
    return performance.now() - startedAt;
  }

  async function makeKey(scopes: string[]): Promise<KeyAnswer> {
    const body = { name: "e2e", scopes };
    const made = await products[0].api<KeyAnswer>("POST", "/api/v1/api-keys", body);
    expect(made.status).toBe(201);
    return made.body.data;
  }

  async function signer(kid: string) {
    const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
    keySet.push({ ...(await exportJWK(publicKey)), kid, alg: "ES256" } as JWK);
    return (sub: string) =>
      new SignJWT({ sub, aud: "authenticated" })
        .setProtectedHeader({ alg: "ES256", kid })
        .setIssuedAt()
        .setExpirationTime("1h")
        .sign(privateKey);
  }

  test("a key made at one works at both, and once revoked at one ends at both within five seconds", async () => {
    const made = await makeKey(["send", "read"]);
    for (const product of products) expect(await get(product, made.key)).toBe(200);
    const post = await fetch(`${products[1].url}/api/v1/schedule-mail`, {
      method: "POST",
      headers: { authorization: `Bearer ${made.key}`, "content-type": "application/json" },
      body: JSON.stringify(emailRequest({ scheduled_at: inMs(3_600_000) })),
    });
    expect(post.status).toBe(201);
    const revoked = await products[1].api("DELETE", `/api/v1/api-keys/${made.id}`);
    expect(revoked.status).toBe(200);
    expect(await untilRefused(made.key)).toBeLessThan(5_000);
  });

  test("tokens of the issuer are taken at both, until an admin drops their key at one", async () => {
    const tokenOf = await signer("first");
    const token = await tokenOf("ada");
    for (const product of products) expect(await get(product, token)).toBe(200);
    const admin = await products[0].token("root", "admin");
    const path = "/api/v1/signing-keys/first";
    expect((await products[0].api("DELETE", path, undefined, admin)).status).toBe(200);
    // The issuer still shows it.
    expect(keySet.map(({ kid }) => kid)).toContain("first");
    expect(await untilRefused(token)).toBeLessThan(5_000);
  });

  test("no key is in a log, in Redis or in a dump of the database", async () => {
    const made = await makeKey(["read"]);
    await get(products[0], made.key);
    await get(products[1], `${made.key.slice(0, -1)}!`);
    await get(products[1], `${made.key.slice(0, -1)}_`);
    const inRedis = await dumpRedis(stack.redis.url);
    await Promise.all(products.map((product) => product.stop()));
    const dump = await dumpPostgres(stack.databaseUrl);
    expect(dump).toContain(made.id);
    // Without the part that is shown in lists, and without the checksum.
    const secret = made.key.slice(12, 44);
    const dresses = [secret, Buffer.from(secret).toString("hex"), btoa(secret).slice(4, -4)];
    for (const text of [dump, inRedis, ...products.map((product) => product.output())]) {
      for (const dress of dresses) expect(text.includes(dress)).toBe(false);
    }
    const output = products.map((product) => product.output()).join("");
    expect(output).toContain('"reason":"api_key_malformed"');
    expect(output).toContain('"reason":"api_key_revoked"');
    expect(output).toContain('"reason":"signing_key"');
  });
});
