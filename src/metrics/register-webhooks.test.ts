import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { createWebhookFigures } from "../store/webhook-figures.ts";
import { openWebhookStage, type WebhookStage } from "../testing/product/webhook-stage.ts";
import { directSql } from "../testing/servers/direct-sql.ts";
import { createMetrics } from "./metrics.ts";
import { registerWebhooks } from "./register-webhooks.ts";

setDefaultTimeout(60_000);

let stage: WebhookStage;
beforeAll(async () => {
  stage = await openWebhookStage();
});
afterAll(() => stage.close());

test("tries are counted by outcome; what waits, and for how long, is read off the database", async () => {
  const { id } = await stage.make({ events: ["email.scheduled"] });
  const deliverer = stage.start({ minuteMs: 60_000 });
  // A new registry each time: a figure of the database is kept for some seconds.
  const figures = async () => {
    const metrics = createMetrics();
    registerWebhooks(metrics, { figures: createWebhookFigures(stage.api.database), deliverer });
    const lines = (await metrics.text()).split("\n").filter((line) => /^taskforce/.test(line));
    return Object.fromEntries(lines.map((line) => line.split(" "))) as Record<string, string>;
  };
  const name = (text: string) => `taskforce_mailer_${text}`;
  const outcome = (text: string) => name(`webhook_deliveries_total{outcome="${text}"}`);
  expect(await figures()).toMatchObject({
    ...{ [outcome("delivered")]: "0", [outcome("pending")]: "0", [outcome("failed")]: "0" },
    ...{ [name('webhooks{state="enabled"}')]: "1", [name('webhooks{state="disabled"}')]: "0" },
    [name("webhook_deliveries_waiting")]: "0",
    [name("webhook_oldest_waiting_seconds")]: "0",
  });
  stage.answer = (_, res) => res.writeHead(stage.seen.length === 1 ? 500 : 200).end();
  await stage.api.schedule();
  await stage.seal();
  await stage.until(async () => (await stage.deliveries(id, "?outcome=pending")).length === 1);
  await stage.api.schedule();
  await stage.seal();
  await stage.until(async () => (await stage.deliveries(id, "?outcome=delivered")).length === 1);
  expect(await figures()).toMatchObject({
    ...{ [outcome("delivered")]: "1", [outcome("pending")]: "1" },
    [name("webhook_deliveries_waiting")]: "1",
  });
  // What it has in memory of the endpoint would be written over what follows.
  await deliverer.stop(5_000);
  const sql = await directSql(stage.api.database);
  const due = "update mailer.webhook_deliveries set next_try_at = now() - interval '90 s'";
  await sql.query(
    "update mailer.webhooks set held_until = now() + interval '1 hour', failures = 10",
  );
  await sql.query(`${due} where outcome = 'pending'`);
  await sql.close();
  // A receiver that is down counts: its events wait.
  const late = (await figures())[name("webhook_oldest_waiting_seconds")];
  expect(Number(late)).toBeGreaterThanOrEqual(90);
});
