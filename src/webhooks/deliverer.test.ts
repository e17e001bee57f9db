import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHmac } from "node:crypto";
import type http from "node:http";
import { Webhook as SvixWebhook } from "svix";
import { createSealer } from "../journal/seal.ts";
import { createJournal } from "../store/journal.ts";
import { createMaintenance } from "../store/maintenance.ts";
import { createWebhookWork } from "../store/webhook-work.ts";
import { joinRegion } from "../testing/product/region-process.ts";
import { noUserReply, type TestApi } from "../testing/product/test-api.ts";
import {
  type MadeWebhook,
  openWebhookStage,
  type Seen,
  type WebhookStage,
} from "../testing/product/webhook-stage.ts";
import { directSql } from "../testing/servers/direct-sql.ts";
import type { HttpTarget } from "../testing/servers/http-target.ts";

setDefaultTimeout(60_000);

let stage: WebhookStage;
let api: TestApi;
let target: HttpTarget;
beforeEach(async () => {
  stage = await openWebhookStage();
  ({ api, target } = stage);
});
afterEach(() => stage.close());

const typesOf = () => stage.seen.map(({ body }) => JSON.parse(body).type as string);

test("what happens to an email reaches its owner's endpoint once, signed, in order", async () => {
  const { id, secret } = await stage.make();
  expect(secret).toStartWith("whsec_");
  stage.start();
  const email = await api.schedule({ tags: ["orders"], metadata: { order: 7 } });
  await api.deliver(email, noUserReply);
  await api.schedule({}, { as: "bob" });
  await stage.seal();
  await stage.until(() => stage.seen.length >= 4);
  expect(typesOf()).toEqual(["email.scheduled", "email.sending", "email.bounced", "email.failed"]);
  const bounce = stage.seen[2] as Seen;
  expect(JSON.parse(bounce.body)).toMatchObject({
    data: {
      ...{ email_id: email, sequence: 3, status: "failed", recipient: "bob@example.com" },
      ...{ smtp_code: 550, tags: ["orders"], metadata: { order: 7 } },
    },
  });
  for (const { headers, body } of stage.seen) {
    // By another library, and by hand.
    new SvixWebhook(secret).verify(body, headers as Record<string, string>);
    const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
    const key = Buffer.from(secret.slice("whsec_".length), "base64");
    const hmac = createHmac("sha256", key).update(signed).digest("base64");
    expect(headers["webhook-signature"]).toBe(`v1,${hmac}`);
    expect(headers["content-type"]).toBe("application/json");
  }
  expect(new Set(stage.seen.map(({ headers }) => headers["webhook-id"])).size).toBe(4);
  const kept = await stage.until(async () => {
    const rows = await stage.deliveries(id);
    return rows.length === 4 && rows;
  });
  expect(kept.every(({ outcome, answer: said }) => outcome === "delivered" && said === "ok")).toBe(
    true,
  );
});

test("an endpoint hears what it asks for: types, tags, everybody's for an admin", async () => {
  await stage.make({ events: ["email.bounced"] });
  await stage.make({
    events: ["email.*"],
    tags: ["vip"],
    url: `http://127.0.0.1:${target.port}/vip`,
  });
  await stage.make({ all_owners: true, url: `http://127.0.0.1:${target.port}/all` }, "root");
  stage.start();
  await api.deliver(await api.schedule(), noUserReply);
  await api.schedule({ tags: ["vip"] });
  await api.schedule({}, { as: "bob" });
  await stage.seal();
  await stage.until(() => stage.seen.length >= 1 + 1 + 6);
  const at = (path: string) => target.requests.filter((one) => one.path === path).length;
  expect([at("/hook"), at("/vip"), at("/all")]).toEqual([1, 1, 6]);
});

test("a failure is tried again after its wait, under the same id, and then recorded", async () => {
  const { id } = await stage.make({ events: ["email.scheduled"] });
  stage.answer = (_, res) => res.writeHead(stage.seen.length < 3 ? 503 : 200).end("so so");
  stage.start({ minuteMs: 6 });
  await api.schedule();
  await stage.seal();
  await stage.until(() => stage.seen.length >= 3);
  expect(new Set(stage.seen.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
  const [row] = await stage.until(async () => {
    const rows = await stage.deliveries(id);
    return rows[0]?.outcome === "delivered" && rows;
  });
  expect(row).toMatchObject({ tries: 3, status_code: 200, error: null, next_try_at: null });
});

test("what a worker did is tried again as well, though no request caused it", async () => {
  const { id } = await stage.make({ events: ["email.sent"] });
  stage.answer = (_, res) => res.writeHead(stage.seen.length < 2 ? 503 : 200).end();
  stage.start({ minuteMs: 6 });
  await stage.api.deliver(await stage.api.schedule());
  await stage.seal();
  await stage.until(async () => (await stage.deliveries(id, "?outcome=delivered")).length === 1);
  expect(typesOf()).toEqual(["email.sent", "email.sent"]);
});

test("a redirect is a failure, not followed; Retry-After is waited for", async () => {
  const { id } = await stage.make({ events: ["email.scheduled"] });
  stage.answer = (_, res) =>
    res.writeHead(302, { location: "/other", "retry-after": "3600" }).end();
  stage.start();
  await api.schedule();
  await stage.seal();
  const [row] = await stage.until(async () => {
    const rows = await stage.deliveries(id);
    return rows.length > 0 && rows;
  });
  expect(row).toMatchObject({ outcome: "pending", status_code: 302 });
  expect(row?.error).toContain("redirects");
  expect(Date.parse(row?.next_try_at ?? "") - Date.now()).toBeGreaterThan(3_500_000);
  expect(target.requests.map(({ path }) => path)).toEqual(["/hook"]);
});

test("410 disables the endpoint and tells the owner's others", async () => {
  const { id } = await stage.make({ events: ["email.scheduled"] });
  await stage.make({ events: ["email.sent"], url: `http://127.0.0.1:${target.port}/other` });
  stage.answer = (req, res) => res.writeHead(req.url === "/hook" ? 410 : 200).end();
  stage.start();
  await api.schedule();
  await stage.seal();
  const gone = await stage.until(async () => {
    const { json } = await api.request<{ enabled: boolean }>("GET", `/api/v1/webhooks/${id}`);
    return !json.data.enabled && json.data;
  });
  expect(gone).toMatchObject({ disabled_reason: "gone" });
  await stage.seal();
  await stage.until(() => target.requests.some(({ path }) => path === "/other"));
  const told = target.requests.find(({ path }) => path === "/other");
  expect(JSON.parse(told?.body ?? "")).toMatchObject({
    type: "webhook.disabled",
    data: { webhook_id: id, reason: "gone" },
  });
});

test("an endpoint where nothing succeeded in five days is disabled", async () => {
  const { id } = await stage.make({ events: ["email.scheduled"] });
  const sql = await directSql(api.database);
  await sql.query(
    "update mailer.webhooks set failures = 3, failing_since = now() - interval '121 hours'",
  );
  await sql.close();
  stage.answer = (_, res) => res.writeHead(500).end();
  stage.start();
  await api.schedule();
  await stage.seal();
  const { json } = await stage.until(async () => {
    const got = await api.request<{ enabled: boolean }>("GET", `/api/v1/webhooks/${id}`);
    return !got.json.data.enabled && got;
  });
  expect(json.data).toMatchObject({ disabled_reason: "failing" });
});

test("behind many failures in a row the endpoint is left alone, and then probed with one", async () => {
  const { id } = await stage.make({ events: ["email.scheduled"] });
  let isUp = false;
  stage.answer = (_, res) => res.writeHead(isUp ? 200 : 500).end();
  stage.start({ minuteMs: 6_000 });
  for (let n = 0; n < 25; n++) await api.schedule();
  await stage.seal();
  await stage.until(async () => {
    const { json } = await api.request<{ failures: number }>("GET", `/api/v1/webhooks/${id}`);
    return json.data.failures >= 10;
  });
  // The other fifteen have not been begun.
  expect(stage.seen.length).toBe(10);
  isUp = true;
  await stage.until(
    async () => (await stage.deliveries(id, "?outcome=delivered&limit=100")).length >= 15,
  );
  // Those that failed come again among the others, so all have a row only later.
  await stage.until(async () => (await stage.deliveries(id, "?offset=20&limit=100")).length === 5);
});

test("a dead receiver delays nobody else's events", async () => {
  await stage.make({ events: ["email.scheduled"] });
  await stage.make(
    { events: ["email.scheduled"], url: `http://127.0.0.1:${target.port}/b` },
    "bob",
  );
  const hanging: http.ServerResponse[] = [];
  stage.answer = (req, res) => (req.url === "/b" ? res.end() : hanging.push(res));
  stage.start();
  for (let n = 0; n < 20; n++) await api.schedule();
  await api.schedule({}, { as: "bob" });
  await stage.seal();
  await stage.until(() => target.requests.some(({ path }) => path === "/b"));
  expect(hanging.length).toBeLessThanOrEqual(10);
  for (const res of hanging) res.end();
  stage.answer = (_, res) => res.end();
});

test("a delivery whose record was lost is made again, under the same id", async () => {
  await stage.make({ events: ["email.scheduled"] });
  const work = stage.workOf();
  const first = stage.start({
    work: {
      ...work,
      record: async () => {
        throw new Error("killed before it was written");
      },
    },
  });
  await api.schedule();
  await stage.seal();
  await stage.until(() => stage.seen.length >= 1);
  await first.stop(2_000);
  // As the next process finds it, once the lease is over.
  const sql = await directSql(api.database);
  await sql.query("update mailer.webhooks set leased_until = null");
  await sql.close();
  stage.start();
  await stage.until(() => stage.seen.length >= 2);
  expect(new Set(stage.seen.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
});

test("an endpoint that a dead process was given is given to another at once", async () => {
  const { id } = await stage.make({ events: ["email.scheduled"] });
  const { database } = stage.api;
  const [dead, living] = [await joinRegion(database, "local"), await joinRegion(database, "local")];
  await stage.api.schedule();
  await stage.seal();
  const workFor = (workerId: string) => createWebhookWork(database, { workerId });
  const claim = async (workerId: string) =>
    (await workFor(workerId).claim(10, 60_000)).webhooks.map((webhook) => webhook.id);
  expect(await claim(dead.workerId)).toEqual([id]);
  expect(await claim(living.workerId)).toEqual([]);
  await dead.presence.stop();
  expect(await claim(living.workerId)).toEqual([id]);
  // The one who has it now lives.
  expect(await claim(Bun.randomUUIDv7())).toEqual([]);
});

test("a rotated secret signs with both; an endpoint that is gone hears nothing more", async () => {
  const { id, secret } = await stage.make({ events: ["email.scheduled"] });
  const rotated = await api.request<MadeWebhook>("POST", `/api/v1/webhooks/${id}/rotate-secret`);
  stage.start();
  await api.schedule();
  await stage.seal();
  await stage.until(() => stage.seen.length >= 1);
  const { headers, body } = stage.seen[0] as Seen;
  expect(String(headers["webhook-signature"]).split(" ")).toHaveLength(2);
  for (const one of [secret, rotated.json.data.secret]) {
    new SvixWebhook(one).verify(body, headers as Record<string, string>);
  }
  await stage.until(async () => (await stage.deliveries(id)).length > 0);
  await api.request("DELETE", `/api/v1/webhooks/${id}`);
  expect((await stage.workOf().claim(10, 1_000)).enabled).toBe(0);
  const place = { workerId: Bun.randomUUIDv7(), region: "local" };
  expect(await createMaintenance(api.database, place).forget("webhook_deliveries", 9)).toBe(1);
});

test("a range is replayed under the same ids, and one delivery again", async () => {
  const { id } = await stage.make({ events: ["email.scheduled"] });
  stage.start();
  await api.schedule();
  await api.schedule();
  await stage.seal();
  await stage.until(async () => (await stage.deliveries(id, "?outcome=delivered")).length >= 2);
  const from = new Date(Date.now() - 3_600_000).toISOString();
  const replay = (more: object) =>
    api.request("POST", `/api/v1/webhooks/${id}/replay`, { body: { from, ...more } });
  expect(await replay({ dry_run: true })).toMatchObject({
    status: 202,
    json: { data: { matched: 2, replayed: 0 } },
  });
  expect((await replay({})).json.data).toEqual({ matched: 2, replayed: 2 });
  await stage.until(() => stage.seen.length >= 4);
  expect(new Set(stage.seen.map(({ headers }) => headers["webhook-id"])).size).toBe(2);
  await stage.until(async () => (await stage.deliveries(id, "?outcome=delivered")).length >= 2);
  const [one] = await stage.deliveries(id);
  const again = await api.request("POST", `/api/v1/webhooks/${id}/deliveries/${one?.id}/replay`);
  expect(again).toMatchObject({ status: 202, json: { data: { id: one?.id } } });
  await stage.until(() => stage.seen.length >= 5);
});

test("two processes deliver everything once while neither dies", async () => {
  await stage.make({ events: ["email.scheduled"] });
  stage.start();
  stage.start();
  for (let n = 0; n < 40; n++) await api.schedule();
  const sealer = createSealer({ store: createJournal(api.database), log: api.deps.log });
  sealer.start();
  await stage.until(() => stage.seen.length >= 40);
  await sealer.stop(1_000);
  expect(new Set(stage.seen.map(({ headers }) => headers["webhook-id"])).size).toBe(40);
  expect(stage.seen).toHaveLength(40);
});

describe("the answer of a receiver", () => {
  test("is cut at 64 kB, a success all the same, and its first 4 kB are kept", async () => {
    const { id } = await stage.make({ events: ["email.scheduled"] });
    stage.answer = (_, res) => res.end("a".repeat(1_000_000));
    stage.start();
    await api.schedule();
    await stage.seal();
    const [row] = await stage.until(async () => {
      const rows = await stage.deliveries(id);
      return rows.length > 0 && rows;
    });
    expect(row).toMatchObject({ outcome: "delivered", answer: "a".repeat(4_096) });
  });
});
