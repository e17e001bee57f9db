import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import pg from "pg";
import { inMs, scheduleBatch, statusOf } from "../testing/product/email-requests.ts";
import type { Product } from "../testing/product/product.ts";
import { type ProductionStack, startStack } from "../testing/product/production-stack.ts";
import { until } from "../testing/servers/child-server.ts";

setDefaultTimeout(60_000);

let stack: ProductionStack;
let sql: pg.Client;
let product: Product;
let helper: Product | null = null;
beforeAll(async () => {
  stack = await startStack();
  sql = new pg.Client({ connectionString: stack.databaseUrl });
  await sql.connect();
});
afterEach(async () => {
  await product?.kill();
  await helper?.kill();
  helper = null;
});
afterAll(async () => {
  await sql?.end();
  await stack?.close();
});

const count = 300;

/** How many of them a process holds for their moment; no reader of the API is told of it. */
async function heldOf(ids: string[]): Promise<number> {
  const held = "select from mailer.emails where id = any ($1) and state = 'sending'";
  return (await sql.query(held, [ids])).rowCount ?? 0;
}

/**
 * Schedules a flood, and waits until so many of its emails are held for their moment; another one
 * where a slow machine was not done before that. `before`: what the next hop had taken by then.
 */
async function floodOf(
  name: string,
  { fields = {}, heldMin = count }: { fields?: Record<string, unknown>; heldMin?: number } = {},
) {
  for (let tries = 1; ; tries++) {
    const moment = inMs(4_000);
    const subjects = Array.from({ length: count }, (_, n) => `${name} ${n}`);
    const tag = `${name.replaceAll(" ", "-")}-${tries}`;
    const ids = await scheduleBatch(product, subjects, {
      ...{ scheduled_at: moment, tags: [tag] },
      ...fields,
    });
    const isOver = () => Date.now() >= Date.parse(moment);
    await until("they are held", async () => isOver() || (await heldOf(ids)) >= heldMin);
    const before = stack.sink.acceptances.length;
    if (!isOver()) return { ids, moment: Date.parse(moment), tag, before };
    expect(tries).toBeLessThan(4);
    for (const id of ids) await statusOf(product, id, ["sent", "expired"], 40_000);
  }
}

/** Message-IDs since the moment, of which none may have come before it. */
async function acceptedFrom(moment: number, before: number, wanted: number) {
  await stack.sink.waitForAcceptances(before + wanted, 30_000);
  const since = stack.sink.acceptances.slice(before);
  for (const { at } of since) expect(at.getTime()).toBeGreaterThanOrEqual(moment);
  return since.map(({ messageId }) => messageId);
}

const conversations = () => stack.sink.steps.filter(({ phase }) => phase === "mail").length;

test("a flood is claimed before its moment and sent at it, once, and is pending until then", async () => {
  product = await stack.start();
  const { ids, moment, before } = await floodOf("held");
  await statusOf(product, ids.at(-1) ?? "", ["pending"], 500);
  const cancelled = ids.slice(-3);
  for (const id of cancelled) {
    expect((await product.api("DELETE", `/api/v1/cancel/${id}`)).status).toBe(200);
  }
  const sent = await acceptedFrom(moment, before, count - cancelled.length);
  for (const id of ids.slice(0, -3)) await statusOf(product, id);
  expect(new Set(sent).size).toBe(count - cancelled.length);
  expect(stack.sink.acceptances).toHaveLength(before + count - cancelled.length);
  for (const id of cancelled) await statusOf(product, id, ["cancelled"]);
});

test.each([
  ["this process", "all"],
  ["another process", "worker"],
])("of a flood that is cancelled by %s while it is held nobody hears", async (_, role) => {
  const sender = await stack.start({ ROLE: role });
  product = role === "all" ? sender : await stack.start({ ROLE: "api" });
  helper = sender;
  const { ids, moment, tag, before } = await floodOf(`cancelled beside ${role}`);
  const asked = conversations();
  const answer = await product.api<{ cancelled: number }>("POST", "/api/v1/cancel", { tag });
  const isInTime = Date.now() < moment - 250;
  expect(answer.status).toBe(200);
  const { cancelled } = answer.body.data;
  // A slow machine may have been at it when its moment came: the fence decided for each of them.
  if (isInTime) expect(cancelled).toBe(count);
  for (const id of ids) await statusOf(product, id, ["cancelled", "sent"]);
  await Bun.sleep(Math.max(0, moment + 1_000 - Date.now()));
  expect(stack.sink.acceptances.length - before).toBe(count - cancelled);
  // Each of them, if the look before their moment were not made. On a slow machine its answer comes
  // after that moment, when a few of them have begun.
  if (isInTime) expect(conversations() - asked).toBeLessThan(count / 3);
});

test.each([
  ["is killed", (of: Product) => of.kill()],
  ["is told to stop", (of: Product) => of.stop()],
])(
  "what a process holds when it %s another one sends, once, and not before its time",
  async (_, end) => {
    product = await stack.start();
    const { ids, moment, before } = await floodOf("handed on");
    await end(product);
    product = await stack.start();
    const sent = await acceptedFrom(moment, before, count);
    for (const id of ids) await statusOf(product, id);
    expect(new Set(sent).size).toBe(count);
    expect(stack.sink.acceptances).toHaveLength(before + count);
  },
);

test("a process that is killed with a full buffer loses and doubles nothing", async () => {
  // 32 fill the buffer of one owner; the rest waits in the database.
  product = await stack.start({ WORKER_CONCURRENCY: "4" });
  const { ids, moment, before } = await floodOf("full", { heldMin: 32 });
  expect(await heldOf(ids)).toBe(32);
  await product.kill();
  product = await stack.start();
  const sent = await acceptedFrom(moment, before, count);
  for (const id of ids) await statusOf(product, id);
  expect(new Set(sent).size).toBe(count);
  expect(stack.sink.acceptances).toHaveLength(before + count);
});

test("of a flood that may not be late nothing is sent late, though it was claimed in time", async () => {
  // Of its 20 connections each takes one in 300 ms: not half of them get out in two seconds.
  stack.sink.setRules(({ phase }) =>
    phase === "rcpt" ? { do: "wait", until: Bun.sleep(300) } : null,
  );
  product = await stack.start();
  const fields = { max_lateness: 2, on_late: "drop" };
  const { ids, moment, before } = await floodOf("not late", { fields });
  // Three hundred who ask for the status would take the time that sending has.
  await Bun.sleep(moment + 2_000 - Date.now());
  const states = await Promise.all(
    ids.map(async (id) => (await statusOf(product, id, ["sent", "expired"], 40_000)).status),
  );
  stack.sink.setRules();
  const sent = stack.sink.acceptances.slice(before);
  expect(sent.length).toBe(states.filter((state) => state === "sent").length);
  expect(sent.length).toBeGreaterThan(20);
  expect(sent.length).toBeLessThan(count);
  // An email fenced in time is handed over at once.
  for (const { at } of sent) expect(at.getTime()).toBeLessThan(moment + 2_000 + 1_000);
});
