import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type http from "node:http";
import net, { type AddressInfo } from "node:net";
import { Webhook as SvixWebhook } from "svix";
import { openWebhookStage, type WebhookStage } from "../testing/product/webhook-stage.ts";

setDefaultTimeout(60_000);

let stage: WebhookStage;
beforeEach(async () => {
  stage = await openWebhookStage();
});
afterEach(() => stage.close());

const at = (path: string) => stage.seen.filter((one) => one.path === path);
const url = (path: string) => `http://127.0.0.1:${stage.target.port}${path}`;
const scheduled = { events: ["email.scheduled"] };

/** The one delivery of an endpoint once a try of it has ended. */
const triedOne = (id: string) =>
  stage.until(async () => {
    const [row] = await stage.deliveries(id);
    return row !== undefined && row.tries > 0 && row;
  });

async function schedule(count: number): Promise<void> {
  for (let n = 0; n < count; n++) await stage.api.schedule();
  await stage.seal();
}

test("receivers that drip, and that answer TLS with noise, fail and delay nobody", async () => {
  const noise = net.createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", () => socket.write(randomBytes(2_000)));
  });
  const { promise: listens, resolve } = Promise.withResolvers<void>();
  noise.listen(0, "127.0.0.1", resolve);
  await listens;
  try {
    const { port } = noise.address() as AddressInfo;
    const garbled = await stage.make({ ...scheduled, url: `https://127.0.0.1:${port}/` });
    const dripping = await stage.make({ ...scheduled, url: url("/drip") });
    await stage.make({ ...scheduled, url: url("/ok") }, "bob");
    stage.answer = (req, res) => {
      if (req.url === "/ok") return res.end();
      const timer = setInterval(() => res.write("a"), 10);
      return res.on("close", () => clearInterval(timer));
    };
    stage.start({ deadlineMs: 2_000, minuteMs: 60_000 });
    await schedule(1);
    await stage.until(() => at("/drip").length > 0);
    await stage.api.schedule({}, { as: "bob" });
    await stage.seal();
    await stage.until(() => at("/ok").length === 1);
    expect(await triedOne(dripping.id)).toMatchObject({
      ...{ outcome: "pending", status_code: null },
      error: "There was no whole answer within 2000 ms.",
    });
    expect(await triedOne(garbled.id)).toMatchObject({ outcome: "pending", status_code: null });
    expect((await triedOne(garbled.id)).error).toBeTruthy();
  } finally {
    noise.close();
  }
});

test("an answer that takes long is a success, and what follows is begun meanwhile", async () => {
  const { id } = await stage.make(scheduled);
  const late: http.ServerResponse[] = [];
  stage.answer = (_, res) => (late.length === 0 ? late.push(res) : res.end());
  stage.start();
  await schedule(5);
  await stage.until(() => stage.seen.length >= 5);
  // The others are told; this one has no row, and the cursor stands before it.
  await stage.until(async () => (await stage.deliveries(id)).length === 4);
  late[0]?.end("at last");
  const rows = await stage.until(async () => {
    const all = await stage.deliveries(id);
    return all.length === 5 && all;
  });
  expect(rows.map(({ outcome, tries }) => [outcome, tries])).toEqual(
    rows.map(() => ["delivered", 1]),
  );
});

test("a secret rotated in mid-flight: what is under way is signed by the former, the rest by both", async () => {
  const { id, secret } = await stage.make(scheduled);
  const held: http.ServerResponse[] = [];
  stage.answer = (_, res) => (held.length === 0 ? held.push(res) : res.end());
  stage.start({ minuteMs: 60 });
  await schedule(1);
  await stage.until(() => held.length === 1);
  const path = `/api/v1/webhooks/${id}/rotate-secret`;
  const rotated = await stage.api.request<{ secret: string }>("POST", path);
  await schedule(1);
  held[0]?.writeHead(500).end();
  // The first comes again, under its id.
  await stage.until(() => stage.seen.length >= 3);
  await stage.until(async () => (await stage.deliveries(id, "?outcome=delivered")).length === 2);
  const signatures = stage.seen.map(({ headers }) => String(headers["webhook-signature"]));
  expect(signatures[0]?.split(" ")).toHaveLength(1);
  const byEither = stage.seen.map(({ headers, body }) =>
    [secret, rotated.json.data.secret].map((one) => {
      try {
        new SvixWebhook(one).verify(body, headers as Record<string, string>);
        return true;
      } catch {
        return false;
      }
    }),
  );
  expect(byEither[0]).toEqual([true, false]);
  // A receiver with the former secret and one with the new are both served, whatever the moment.
  expect(byEither.every(([byFormer]) => byFormer)).toBe(true);
  expect(byEither.at(-1)).toEqual([true, true]);
  expect(new Set(stage.seen.map(({ headers }) => headers["webhook-id"])).size).toBe(2);
});

test("an endpoint deleted with deliveries waiting is sent nothing more, and delays nobody", async () => {
  const doomed = await stage.make(scheduled);
  const other = await stage.make({ ...scheduled, url: url("/other") });
  const held: http.ServerResponse[] = [];
  stage.answer = (req, res) => (req.url === "/hook" ? held.push(res) : res.end());
  stage.start();
  await schedule(25);
  await stage.until(() => held.length === 10 && at("/other").length === 25);
  const { status } = await stage.api.request("DELETE", `/api/v1/webhooks/${doomed.id}`);
  expect(status).toBe(200);
  for (const res of held) res.end();
  await schedule(1);
  await stage.until(async () => (await stage.deliveries(other.id, "?limit=100")).length === 26);
  // The next ten are begun as those end, before what came of them is written and the end is heard
  // of; the last five never.
  expect(at("/hook").length).toBeLessThanOrEqual(20);
  const path = `/api/v1/webhooks/${doomed.id}/deliveries`;
  expect((await stage.api.request("GET", path)).status).toBe(404);
  const broken = stage.api.lines.filter(({ level }) => level === "error");
  expect(broken).toEqual([]);
});
