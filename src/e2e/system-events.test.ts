import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { Webhook } from "svix";
import { schedule, statusOf } from "../testing/product/email-requests.ts";
import type { Product } from "../testing/product/product.ts";
import { type ProductionStack, startStack } from "../testing/product/production-stack.ts";
import { until } from "../testing/servers/child-server.ts";
import { type HttpTarget, startHttpTarget } from "../testing/servers/http-target.ts";

setDefaultTimeout(120_000);

interface Heard {
  type: string;
  data: Record<string, unknown>;
}

let stack: ProductionStack;
let products: Product[];
let target: HttpTarget;
let secret = "";
const heard: Heard[] = [];

beforeAll(async () => {
  target = await startHttpTarget((req, res) => {
    const body = target.requests.at(-1)?.body ?? "";
    new Webhook(secret).verify(body, req.headers as Record<string, string>);
    heard.push(JSON.parse(body));
    res.end("ok");
  });
  stack = await startStack({ env: { WEBHOOK_ALLOW_PRIVATE: "true" } });
  products = [await stack.start(), await stack.start()];
});
afterAll(async () => {
  await stack?.close();
  await target?.close();
});

const heardOf = (prefix: string) => heard.filter(({ type }) => type.startsWith(prefix));

async function admin(method: string, path: string, body: unknown) {
  const [product] = products as [Product];
  const token = await product.token("root", "admin");
  const answer = await product.api<{ secret: string }>(method, path, body, token);
  if (answer.status >= 300) throw new Error(answer.text);
  return answer.body.data;
}

test("an operator hears once of what two processes find: a transport down and up, a pause", async () => {
  const url = `http://127.0.0.1:${target.port}/operator`;
  const made = await admin("POST", "/api/v1/webhooks", {
    ...{ url, events: ["system.*"], all_owners: true },
  });
  secret = made.secret;
  stack.sink.setRules(({ phase }) =>
    phase === "greeting" ? { do: "reply_then_drop", text: "554 5.7.1 Go away" } : null,
  );
  const ids = await Promise.all(products.map((product) => schedule(product, {})));
  const breakerOf = async (product: Product) => {
    const res = await fetch(`${product.url}/health`);
    const { components } = (await res.json()) as {
      components: Record<string, { detail?: string }>;
    };
    return components.transport?.detail ?? "";
  };
  await until("both processes say so", async () => {
    return (await Promise.all(products.map(breakerOf))).every((detail) => detail.includes("554"));
  });
  await until("it is told", async () => heardOf("system.transport").length > 0, 60_000);
  stack.sink.setRules();
  const [product] = products as [Product];
  for (const id of ids) await statusOf(product, id, ["sent"], 60_000);
  await until("its end is told", async () => heardOf("system.transport").length > 1, 60_000);
  const about = { region: "local", transport: expect.stringContaining(String(stack.sink.port)) };
  expect(heardOf("system.transport")).toMatchObject([
    {
      type: "system.transport_down",
      data: { ...about, reply: expect.stringContaining("554"), smtp_code: 554 },
    },
    { type: "system.transport_up", data: { ...about, lasted_ms: expect.any(Number) } },
  ]);

  await admin("POST", "/api/v1/pause", { reason: "maintenance" });
  await admin("POST", "/api/v1/resume", { reason: "done" });
  await until("the pause is told", async () => heard.length >= 4, 60_000);
  expect(heard.map(({ type }) => type)).toEqual([
    "system.transport_down",
    "system.transport_up",
    "system.paused",
    "system.resumed",
  ]);
});
