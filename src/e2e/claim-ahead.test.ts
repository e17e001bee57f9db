import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { inMs, scheduleBatch, statusOf } from "../testing/email-requests.ts";
import type { Product } from "../testing/product.ts";
import { type ProductionStack, startStack } from "../testing/production-stack.ts";

setDefaultTimeout(60_000);

let stack: ProductionStack;
let product: Product;
beforeAll(async () => {
  stack = await startStack();
});
afterEach(() => product?.kill());
afterAll(() => stack?.close());

const count = 300;

/** Schedules a flood, and waits until its last email is held for its moment. */
async function floodOf(name: string, leadMs: number, fields: Record<string, unknown> = {}) {
  const moment = inMs(leadMs);
  const subjects = Array.from({ length: count }, (_, n) => `${name} ${n}`);
  const ids = await scheduleBatch(product, subjects, { scheduled_at: moment, ...fields });
  await statusOf(product, ids.at(-1) ?? "", ["sending"]);
  expect(Date.now()).toBeLessThan(Date.parse(moment));
  return { ids, moment: Date.parse(moment) };
}

/** Message-IDs since the moment, of which none may have come before it. */
async function acceptedFrom(moment: number, before: number, wanted: number) {
  await stack.sink.waitForAcceptances(before + wanted, 30_000);
  const since = stack.sink.acceptances.slice(before);
  for (const { at } of since) expect(at.getTime()).toBeGreaterThanOrEqual(moment);
  return since.map(({ messageId }) => messageId);
}

test("a flood is claimed before its moment and sent at it, once; what is cancelled meanwhile is not", async () => {
  product = await stack.start();
  const { ids, moment } = await floodOf("held", 4_000);
  const cancelled = ids.slice(-3);
  for (const id of cancelled) {
    expect((await product.api("DELETE", `/api/v1/cancel/${id}`)).status).toBe(200);
  }
  const sent = await acceptedFrom(moment, 0, count - cancelled.length);
  for (const id of ids.slice(0, -3)) await statusOf(product, id);
  expect(new Set(sent).size).toBe(count - cancelled.length);
  expect(stack.sink.acceptances).toHaveLength(count - cancelled.length);
  for (const id of cancelled) await statusOf(product, id, ["cancelled"]);
});

test("what is cancelled while it is held costs the next hop no conversation", async () => {
  const asked = () => stack.sink.steps.filter(({ phase }) => phase === "mail").length;
  const [accepted, before] = [stack.sink.acceptances.length, asked()];
  product = await stack.start();
  const { ids, moment } = await floodOf("cancelled", 6_000);
  // Few enough that a slow machine is done before its moment comes near.
  const cancelled = ids.slice(-30);
  for (const id of cancelled) {
    expect((await product.api("DELETE", `/api/v1/cancel/${id}`)).status).toBe(200);
  }
  expect(Date.now()).toBeLessThan(moment - 500);
  await acceptedFrom(moment, accepted, count - cancelled.length);
  for (const id of ids.slice(0, -30)) await statusOf(product, id);
  for (const id of cancelled) await statusOf(product, id, ["cancelled"]);
  expect(asked() - before).toBe(count - cancelled.length);
});

test.each([
  ["is killed", (of: Product) => of.kill()],
  ["is told to stop", (of: Product) => of.stop()],
])(
  "what a process holds when it %s another one sends, once, and not before its time",
  async (_, end) => {
    const before = stack.sink.acceptances.length;
    product = await stack.start();
    const { ids, moment } = await floodOf("handed on", 4_000);
    await end(product);
    product = await stack.start();
    const sent = await acceptedFrom(moment, before, count);
    for (const id of ids) await statusOf(product, id);
    expect(new Set(sent).size).toBe(count);
    expect(stack.sink.acceptances).toHaveLength(before + count);
  },
);

test("of a flood that may not be late nothing is sent late, though it was claimed in time", async () => {
  const before = stack.sink.acceptances.length;
  // Of its 20 connections each takes one in 300 ms: not half of them get out in two seconds.
  stack.sink.setRules(({ phase }) =>
    phase === "rcpt" ? { do: "wait", until: Bun.sleep(300) } : null,
  );
  product = await stack.start();
  const { ids, moment } = await floodOf("not late", 4_000, { max_lateness: 2, on_late: "drop" });
  const states = await Promise.all(
    ids.map(async (id) => (await statusOf(product, id, ["sent", "expired"], 40_000)).status),
  );
  stack.sink.setRules();
  const sent = stack.sink.acceptances.slice(before);
  expect(sent.length).toBe(states.filter((state) => state === "sent").length);
  expect(sent.length).toBeGreaterThan(20);
  expect(sent.length).toBeLessThan(count);
  // Who was fenced in time is handed over at once.
  for (const { at } of sent) expect(at.getTime()).toBeLessThan(moment + 2_000 + 1_000);
});
