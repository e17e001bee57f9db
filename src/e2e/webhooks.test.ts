import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { Webhook } from "standardwebhooks";
import {
  guardedFolder,
  type Product,
  productBinary,
  runProduct,
  startProduct,
} from "../testing/product/product.ts";
import { type HttpTarget, startHttpTarget } from "../testing/servers/http-target.ts";

setDefaultTimeout(90_000);

const dataDir = guardedFolder("webhooks");
const env = { WEBHOOK_ALLOW_PRIVATE: "true", RETRY_BASE_MS: "100" };
let product: Product;
let target: HttpTarget;
let secret = "";
/** Types by path, in the order in which they came; each of them verified. */
const heard: Record<string, string[]> = {};

beforeAll(async () => {
  target = await startHttpTarget((req, res) => {
    const { path = "", body = "" } = target.requests.at(-1) ?? {};
    new Webhook(secret).verify(body, req.headers as Record<string, string>);
    heard[path] = [...(heard[path] ?? []), JSON.parse(body).type];
    res.end("ok");
  });
  product = await startProduct({ dataDir, env });
});
afterAll(async () => {
  await product?.kill();
  await target?.close();
});

async function until(isDone: () => boolean): Promise<void> {
  while (!isDone()) await Bun.sleep(50);
}

test("a webhook and `listen` hear of what `trigger` makes happen, signed", async () => {
  const url = `http://127.0.0.1:${target.port}/webhook`;
  const made = await product.api<{ secret: string }>("POST", "/api/v1/webhooks", { url });
  expect(made.status).toBe(201);
  secret = made.body.data.secret;
  const forwardTo = `http://127.0.0.1:${target.port}/listen`;
  const listening = Bun.spawn(
    [productBinary(), "listen", "--forward-to", forwardTo, "--secret", secret, "--json"],
    {
      env: { PATH: process.env.PATH ?? "", DATA_DIR: dataDir },
      stdout: "pipe",
      stderr: "pipe",
    },
  );
  // It says where it forwards to before it connects; the first event tells that it has.
  const trigger = (type: string) => runProduct(["trigger", type, "--owner", "ada"], { dataDir });
  try {
    while ((heard["/listen"] ?? []).length === 0) {
      expect((await trigger("email.scheduled")).code).toBe(0);
      await Bun.sleep(200);
    }
    for (const type of ["email.deferred", "email.bounced", "email.uncertain", "email.replayed"]) {
      const { code, output } = await trigger(type);
      expect([code, output]).toEqual([0, expect.stringContaining(type)]);
    }
    for (const path of ["/webhook", "/listen"]) {
      await until(() => (heard[path] ?? []).includes("email.replayed"));
      await until(() => (heard[path] ?? []).filter((one) => one === "email.deferred").length === 2);
      await until(() => (heard[path] ?? []).includes("email.sent"));
      expect(heard[path]).toContain("email.uncertain");
    }
  } finally {
    listening.kill();
    await listening.exited;
  }
  const lines = (await new Response(listening.stdout).text()).trim().split("\n");
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({
    type: "email.scheduled",
    forwarded: expect.stringMatching(/^200 in \d+ ms$/),
  });
});

test("a webhook that would tell the service of what it tells, or is no URL, is refused by name", async () => {
  for (const [url, words] of [
    [product.url, "got one of this service itself"],
    ["not a URL", 'expected a URL that starts with https://, got "not a URL"'],
    ["http://169.254.169.254/latest", "an address we do not connect to"],
  ] as const) {
    const { status, text } = await product.api("POST", "/api/v1/webhooks", { url });
    expect([status, text]).toEqual([422, expect.stringContaining('"pointer":"/url"')]);
    expect(JSON.parse(text).errors[0].detail).toContain(words);
  }
  const { body } = await product.api<unknown[]>("GET", "/api/v1/webhooks");
  expect(body.data).toHaveLength(1);
});

test("a kill between delivery and its record delivers again, under the same id, and loses nothing", async () => {
  const before = target.requests.length;
  await product.api("POST", "/api/v1/schedule-mail", {
    recipients: ["sent@outcome.test"],
    subject: "Before the kill",
    body: "Text.",
  });
  await until(() => target.requests.length > before);
  await product.kill();
  product = await startProduct({ dataDir, env });
  const { data } = (await product.api<{ id: string }[]>("GET", "/api/v1/webhooks")).body;
  const path = `/api/v1/webhooks/${data[0]?.id}/deliveries?limit=100`;
  await until(() => (heard["/webhook"] ?? []).filter((one) => one === "email.sent").length >= 2);
  for (;;) {
    const rows = (await product.api<{ outcome: string; type: string }[]>("GET", path)).body.data;
    const sent = rows.filter(
      ({ type, outcome }) => type === "email.sent" && outcome === "delivered",
    );
    if (sent.length >= 2) break;
    await Bun.sleep(100);
  }
});
