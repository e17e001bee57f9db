import type { Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { assertMayDirect } from "../../../auth/webhook-rights.ts";
import { liftCallBudget } from "../../../store/call-budget.ts";
import type { DeliveryOutcome, StoredDelivery, StoredWebhook } from "../../../store/webhooks.ts";
import { testType } from "../../../webhooks/endpoints.ts";
import { sendPage } from "../../page-response.ts";
import type { Visit } from "../door.tsx";
import { type Fault, faultOf } from "../fault.ts";
import { redirectWith } from "../flash.ts";
import { isUuid, readPlace, writePlace } from "../list-place.ts";
import { sendMissing } from "../missing.tsx";
import type { PagesDeps } from "../pages-deps.ts";
import { shownDuration } from "../words.ts";
import { EditWebhookPage } from "./edit-webhook-page.tsx";
import {
  emptyWebhookFields,
  fieldsOfWebhook,
  type WebhookFields,
  webhookBodyOf,
  webhookChangeOf,
  webhookFieldsOf,
} from "./webhook-form.ts";
import { AskPage, type Question, WebhookPage } from "./webhook-page.tsx";
import { WebhooksPage, type WebhooksPageProps, webhookPath } from "./webhooks-page.tsx";

const formBytesMax = 16 * 1024;
const pageSize = 50;
const path = "/console/webhooks";
/** What ends the sending of events, and starts none. */
const stopping: readonly string[] = ["disable", "delete"];
const outcomes: readonly DeliveryOutcome[] = ["pending", "delivered", "failed"];

/** Endpoints that hear of what happens, and what was delivered to each. */
export function mountWebhooks(app: Hono, deps: PagesDeps): void {
  const limit = bodyLimit({ maxSize: formBytesMax });

  app.get(path, async (c) => {
    const visit = await deps.door.enter(c);
    return visit instanceof Response ? visit : await sendWebhooks(c, visit, deps, {});
  });
  app.post(path, limit, async (c) => {
    const visit = await deps.door.act(c);
    return visit instanceof Response ? visit : await create(c, visit, deps);
  });
  app.get(`${path}/:id`, async (c) => {
    const found = await findWebhook(c, deps, "enter");
    return found instanceof Response ? found : await sendWebhook(c, found, deps, {});
  });
  mountQuestions(app, deps);

  const onWebhook = (name: string, act: (c: Context, found: Found) => Promise<Response>) =>
    app.post(`${path}/:id/${name}`, limit, async (c) => {
      const found = await findWebhook(c, deps, "act");
      if (found instanceof Response) return found;
      try {
        if (!stopping.includes(name)) assertMayDirect(found.visit.frame.principal, found.webhook);
        return await act(c, found);
      } catch (error) {
        const { words, status } = faultOf(error);
        return await sendWebhook(c, found, deps, { fault: words }, status);
      }
    });

  onWebhook("test", (c, found) => sendTest(c, found, deps));
  for (const [name, isEnabled] of [
    ["enable", true],
    ["disable", false],
  ] as const) {
    onWebhook(name, async (c, { visit, webhook: { id } }) => {
      await deps.endpoints.change(id, { isEnabled }, visit.claims, visit.origin);
      const words = isEnabled ? "Enabled: it hears of events again." : "Disabled: nothing is sent.";
      return redirectWith(c, webhookPath(id), words);
    });
  }
  app.get(`${path}/:id/edit`, async (c) => {
    const found = await findWebhook(c, deps, "enter");
    if (found instanceof Response) return found;
    return await sendEdit(c, found, fieldsOfWebhook(found.webhook));
  });
  app.post(`${path}/:id/edit`, limit, async (c) => {
    const found = await findWebhook(c, deps, "act");
    return found instanceof Response ? found : await edit(c, found, deps);
  });
  onWebhook("rotate-secret", async (c, { visit, webhook: { id } }) => {
    const rotated = await deps.endpoints.rotateSecret(id, null, visit.claims, visit.origin);
    if (rotated === null) return await sendMissing(c, visit.frame);
    const { webhook, secret } = rotated;
    return await sendWebhook(c, { visit, webhook }, deps, { secret });
  });
  onWebhook("delete", async (c, { visit, webhook }) => {
    await deps.webhooks.remove(webhook.id, visit.claims, visit.origin);
    return redirectWith(c, path, `Deleted: ${webhook.url}`);
  });
  onWebhook("deliveries/:delivery/replay", async (c, { visit, webhook: { id } }) => {
    const delivery = c.req.param("delivery") ?? "";
    const { claims, origin, frame } = visit;
    const replayed = /^msg_[\w-]{1,60}$/.test(delivery)
      ? await deps.endpoints.replayDelivery(id, delivery, claims, origin)
      : null;
    if (replayed === null) return await sendMissing(c, frame);
    const wasTest = replayed === "not_replayable";
    const words = wasTest
      ? "That was a test, of an event that never was: send another."
      : `${replayed.type} is delivered again, under the same id.`;
    return redirectWith(c, webhookPath(id), words, { kind: wasTest ? "fault" : "done" });
  });
}

function mountQuestions(app: Hono, deps: PagesDeps): void {
  for (const question of ["delete", "rotate-secret"] satisfies Question[]) {
    app.get(`${path}/:id/${question}`, async (c) => {
      const found = await findWebhook(c, deps, "enter");
      if (found instanceof Response) return found;
      const { visit, webhook } = found;
      const page = { frame: visit.frame, webhook, question };
      return await sendPage(c, <AskPage {...page} />);
    });
  }
}

interface Found {
  visit: Visit;
  webhook: StoredWebhook;
}

async function findWebhook(
  c: Context,
  { door, webhooks }: PagesDeps,
  way: "enter" | "act",
): Promise<Found | Response> {
  const visit = await door[way](c);
  if (visit instanceof Response) return visit;
  const id = c.req.param("id") ?? "";
  const webhook = isUuid(id) ? await webhooks.get(id, visit.claims) : null;
  return webhook === null ? await sendMissing(c, visit.frame) : { visit, webhook };
}

async function create(c: Context, visit: Visit, deps: PagesDeps): Promise<Response> {
  const fields = webhookFieldsOf(await c.req.parseBody({ all: true }));
  try {
    const { claims, origin, frame } = visit;
    const by = { principal: frame.principal, claims, origin };
    const { webhook, secret } = await deps.makeWebhook(webhookBodyOf(fields), by);
    // Not a redirect: this answer alone can show the secret.
    return await sendWebhook(c, { visit, webhook }, deps, { secret });
  } catch (error) {
    const { words, status } = faultOf(error);
    return await sendWebhooks(c, visit, deps, { fields, fault: words }, status);
  }
}

async function edit(c: Context, found: Found, deps: PagesDeps): Promise<Response> {
  const { visit, webhook } = found;
  const fields = webhookFieldsOf(await c.req.parseBody({ all: true }));
  try {
    const change = webhookChangeOf(fields, fieldsOfWebhook(webhook));
    const { claims, origin, frame } = visit;
    const by = { principal: frame.principal, claims, origin };
    await deps.changeWebhook(webhook, change, by);
    const isSame = Object.keys(change).length === 0;
    const words = isSame ? "Nothing was changed." : "Saved: for what is begun from now on.";
    return redirectWith(c, webhookPath(webhook.id), words);
  } catch (error) {
    return await sendEdit(c, found, fields, faultOf(error));
  }
}

async function sendEdit(
  c: Context,
  { visit: { frame }, webhook }: Found,
  fields: WebhookFields,
  fault?: Fault,
): Promise<Response> {
  const page = { frame, webhook, fields, fault: fault?.words };
  return await sendPage(c, <EditWebhookPage {...page} />, fault?.status ?? 200);
}

async function sendTest(
  c: Context,
  { visit, webhook }: Found,
  { endpoints }: PagesDeps,
): Promise<Response> {
  // The receiver has 15 s.
  liftCallBudget();
  const sent = await endpoints.test(webhook.id, testType, visit.claims);
  if (sent === null) return await sendMissing(c, visit.frame);
  const { outcome, statusCode, error, durationMs } = sent;
  const took = durationMs === null ? "" : ` in ${shownDuration(durationMs)}`;
  const answered = statusCode === null ? (error ?? "no answer") : `answered ${statusCode}${took}`;
  const isDelivered = outcome === "delivered";
  const words = `The test was ${isDelivered ? "delivered" : "not taken"}: ${answered}.`;
  return redirectWith(c, webhookPath(webhook.id), words, { kind: isDelivered ? "done" : "fault" });
}

type Refusal = 200 | 409 | 422 | 503;

async function sendWebhooks(
  c: Context,
  { frame, claims }: Visit,
  { webhooks }: PagesDeps,
  { fields = emptyWebhookFields, fault }: Partial<Pick<WebhooksPageProps, "fields" | "fault">>,
  status: Refusal = 200,
): Promise<Response> {
  const cursor = readPlace(c.req.query("older"));
  const found = await webhooks.list({ limit: pageSize, offset: null, cursor }, claims);
  const older = found.next && `${path}?${new URLSearchParams({ older: writePlace(found.next) })}`;
  const page = { frame, webhooks: found.webhooks, fields, fault, older };
  return await sendPage(c, <WebhooksPage {...page} />, status);
}

async function sendWebhook(
  c: Context,
  { visit: { frame, claims }, webhook }: Found,
  { webhooks, endpoints }: PagesDeps,
  { secret = null, fault }: { secret?: string | null; fault?: string },
  status: Refusal = 200,
): Promise<Response> {
  const outcome = outcomes.find((one) => one === c.req.query("outcome")) ?? null;
  const cursor = readPlace(c.req.query("older"), (id) => /^msg_[\w-]{1,60}$/.test(id));
  const asked = { limit: pageSize, cursor, ...(outcome !== null && { outcome }) };
  const found = await webhooks.deliveries(webhook.id, asked, claims);
  if (found === null) return await sendMissing(c, frame);
  const shown = (delivery: StoredDelivery) => ({
    ...delivery,
    answer: endpoints.openAnswer(delivery, found),
  });
  const query = found.next && {
    ...(outcome !== null && { outcome }),
    older: writePlace(found.next),
  };
  const page = {
    ...{ frame, webhook, outcome, secret, fault },
    deliveries: found.deliveries.map(shown),
    older: query && `${webhookPath(webhook.id)}?${new URLSearchParams(query)}`,
  };
  return await sendPage(c, <WebhookPage {...page} />, status);
}
