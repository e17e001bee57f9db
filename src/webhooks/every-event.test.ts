import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { createHmac } from "node:crypto";
import { Webhook as SvixWebhook } from "svix";
import { emailEventTypes } from "../email/event-types.ts";
import { createFleetStore } from "../store/fleet.ts";
import { joinRegion } from "../testing/product/region-process.ts";
import { openWebhookStage, type WebhookStage } from "../testing/product/webhook-stage.ts";
import { type DirectSql, directSql } from "../testing/servers/direct-sql.ts";
import { systemEventTypes } from "./messages.ts";

setDefaultTimeout(60_000);

let stage: WebhookStage;
let sql: DirectSql;
beforeAll(async () => {
  stage = await openWebhookStage();
  sql = await directSql(stage.api.database);
});
afterAll(async () => {
  await sql.close();
  await stage.close();
});

/** Entries of the journal, one for each action, as the functions of the schema write them. */
const systemEntries: [action: string, detail: object][] = [
  ["sending.paused", { region: "local", reason: "maintenance" }],
  ["sending.resumed", { region: "local" }],
  ["webhook.disabled", { webhook_id: "x", reason: "gone" }],
  ["transport.down", { region: "local", transport: "smtp:25", reply: "421 4.7.0 Later" }],
  ["transport.up", { region: "local", transport: "smtp:25", lasted_ms: 7 }],
  ["region.silent", { region: "fra", silent_for_ms: 61_000 }],
  ["journal.broken", { position: 7, reason: "hash" }],
  ["journal.sound", { lasted_ms: 7 }],
  ["region.back", { region: "fra", lasted_ms: 7 }],
  ...["sending", "journal", "webhooks"].flatMap((kind): typeof systemEntries => [
    [`${kind}.behind`, { behind_ms: 61_000 }],
    [`${kind}.caught_up`, { lasted_ms: 7 }],
  ]),
];

test("every kind of event is told, and verified by svix and by hand", async () => {
  const wanted = ["email.*", "system.*"];
  const { secret } = await stage.make({ all_owners: true, events: wanted }, "root");
  const email = await stage.api.schedule({ tags: ["a"], metadata: { name: "Zoë €" } });
  const write = (action: string, emailId: string | null, detail: object) =>
    sql.query(
      `insert into mailer.journal (owner_id, actor, action, email_id, detail)
       values ('ada', 'taskforce-mailer:test', $1, $2, $3::text::jsonb)`,
      [action, emailId, JSON.stringify(detail)],
    );
  // `poison` makes a hold one that operators hear of too.
  const detail = { status: "held", reason: "poison" };
  for (const type of emailEventTypes.slice(1)) await write(type, email, detail);
  for (const [action, told] of systemEntries) await write(action, null, told);
  await stage.seal();
  stage.start();
  const expected = [...emailEventTypes, ...systemEventTypes];
  await stage.until(() => stage.seen.length >= expected.length);
  const types = stage.seen.map(({ body }) => JSON.parse(body).type as string);
  expect(types.toSorted()).toEqual(expected.toSorted());
  const key = Buffer.from(secret.slice("whsec_".length), "base64");
  for (const { headers, body } of stage.seen) {
    new SvixWebhook(secret).verify(body, headers as Record<string, string>);
    const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
    const hmac = createHmac("sha256", key).update(signed).digest("base64");
    expect(headers["webhook-signature"]).toBe(`v1,${hmac}`);
    expect(JSON.parse(body)).toEqual({
      type: expect.stringMatching(/^(email|system)\.[a-z_]+$/),
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      data: expect.any(Object),
    });
  }
  const down = stage.seen.find(({ body }) => body.includes('"system.transport_down"'));
  expect(JSON.parse(down?.body ?? "").data).toEqual({
    ...{ owner_id: "ada", actor: "taskforce-mailer:test" },
    ...{ region: "local", transport: "smtp:25", reply: "421 4.7.0 Later" },
  });
});

test("an operator hears once, with its reply, of a transport that two processes find down", async () => {
  const { database } = stage.api;
  const url = `http://127.0.0.1:${stage.target.port}/operator`;
  const wanted = ["system.transport_down", "system.transport_up"];
  await stage.make({ all_owners: true, events: wanted, url }, "root");
  await stage.make({ url: `http://127.0.0.1:${stage.target.port}/owner` });
  const heard = () =>
    stage.seen.filter(({ path }) => path === "/operator").map(({ body }) => JSON.parse(body));
  const processes = await Promise.all(
    [1, 2].map(async () => {
      const { workerId } = await joinRegion(database, "fra");
      return createFleetStore(database, { workerId, region: "fra" });
    }),
  );
  const say = async (breaker: "open" | "closed") => {
    const isDown = breaker === "open";
    const told = { reason: "its words", reply: "535 5.7.8 No", smtpCode: 535, detail: "down" };
    const nothing = { reason: null, reply: null, smtpCode: null, detail: null };
    const transport = { ...(isDown ? told : nothing), workedMsAgo: isDown ? null : 0, since: null };
    const transports = [{ name: "smtp:25", breaker, ...transport }];
    for (const process of processes) {
      await process.report({ transports, queue: null, unsettled: 0 });
    }
    // The first process was refused while the other still said that it is down.
    if (!isDown) await processes[0]?.report({ transports, queue: null, unsettled: 0 });
    await stage.seal();
  };
  stage.start();
  await say("open");
  await stage.until(() => heard().length >= 1);
  await say("closed");
  await stage.until(() => heard().length >= 2);
  await say("closed");
  const about = { region: "fra", transport: "smtp:25" };
  expect(heard()).toMatchObject([
    {
      type: "system.transport_down",
      data: { ...about, reason: "its words", reply: "535 5.7.8 No", smtp_code: 535 },
    },
    { type: "system.transport_up", data: about },
  ]);
  expect(stage.seen.filter(({ path }) => path === "/owner")).toEqual([]);
});
