import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { inMs, schedule, statusOf } from "../testing/product/email-requests.ts";
import { type Product, runProduct, startProduct } from "../testing/product/product.ts";
import { until } from "../testing/servers/child-server.ts";

setDefaultTimeout(60_000);

let product: Product;
let admin: string;
beforeAll(async () => {
  product = await startProduct();
  admin = await product.token("olga", "admin");
});
afterAll(() => product?.kill());

/** The command of the binary, beside the server. */
async function run(...args: string[]): Promise<unknown> {
  const { code, output } = await runProduct([...args, "--json"], { dataDir: product.dataDir });
  expect([args, code]).toEqual([args, 0]);
  return JSON.parse(output);
}

interface Health {
  status: string;
  components: { sending: { status: string; detail?: string } };
}
const health = async () => (await (await fetch(`${product.url}/health`)).json()) as Health;
const pageOf = async () => (await product.api("GET", "/", undefined, admin)).text;

test("a pause keeps what is due pending, over a restart, until it is resumed", async () => {
  expect(await run("pause", "--reason", "wrong template")).toMatchObject({
    ...{
      kind: "region",
      name: "local",
      paused_by: "taskforce-mailer:cli",
      reason: "wrong template",
    },
  });
  const due = await schedule(product, { subject: "Due while paused" });
  const dueAt = Date.now() + 500;
  const timed = await schedule(product, { scheduled_at: inMs(500) });
  expect(await health()).toMatchObject({
    status: "degraded",
    components: {
      sending: {
        status: "degraded",
        detail: expect.stringContaining("the region local is paused since"),
      },
    },
  });
  expect(await pageOf()).toContain("<strong>Paused:</strong> sending of the region local");

  await product.stop();
  product = await startProduct({ dataDir: product.dataDir });
  // A dispatcher looks at least once a second.
  await until("both would long have gone out", () => Date.now() > dueAt + 2_500);
  for (const id of [due, timed]) {
    expect((await product.api("GET", `/api/v1/status/${id}`)).body.data.status).toBe("pending");
  }
  expect((await health()).components.sending.status).toBe("degraded");

  expect(await run("resume")).toEqual({ kind: "region", name: "local", was_paused: true });
  for (const id of [due, timed]) await statusOf(product, id, ["sent"], 5_000);
  expect((await health()).components.sending).toEqual({ status: "ok" });
  expect(await pageOf()).not.toContain("Paused:");
});

test("both stand in the journal, with who did it and why", async () => {
  const entries = async () => {
    const path = "/api/v1/audit?owner_id=taskforce-mailer:cli";
    const { body } = await product.api<Record<string, unknown>[]>("GET", path, undefined, admin);
    return body.data.map(({ actor, action, detail }) => ({ actor, action, detail }));
  };
  await until("they are sealed", async () => (await entries()).length === 2);
  expect(await entries()).toEqual(
    expect.arrayContaining([
      {
        ...{ actor: "taskforce-mailer:cli", action: "sending.paused" },
        detail: { region: "local", reason: "wrong template" },
      },
      {
        ...{ actor: "taskforce-mailer:cli", action: "sending.resumed" },
        detail: expect.objectContaining({ region: "local", paused_by: "taskforce-mailer:cli" }),
      },
    ]),
  );
});
