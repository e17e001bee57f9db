import type { Route } from "../app.ts";
import type { AppDeps } from "../app-deps.ts";
import { emailEventParameters, eventParameters, tokenParameter } from "../request/events-query.ts";
import { pageParameters } from "../request/list-query.ts";
import {
  rotateSecretSchema,
  webhookChangeSchema,
  webhookReplaySchema,
  webhookSchema,
  webhookTestSchema,
} from "../request/webhook-fields.ts";
import {
  createListDeliveries,
  createReplayDelivery,
  createReplayWebhook,
  createTestWebhook,
  deliveryParameters,
} from "../webhooks/webhook-deliveries.ts";
import {
  createCreateWebhook,
  createDeleteWebhook,
  createGetWebhook,
  createListWebhooks,
  createPatchWebhook,
  createRotateSecret,
} from "../webhooks/webhooks.ts";
import { createEventStreams } from "./event-streams.ts";
import { createGetEvents, createListEvents } from "./list-events.ts";
import { createStreamToken } from "./stream-token.ts";

/** What happened and happens, in pages and as streams. */
export function eventRoutes(deps: AppDeps, v1: string): Route[] {
  const read = { method: "GET", auth: "bearer", needs: "read", takesToken: true } as const;
  const streaming = { ...deps, streams: createEventStreams(deps) };
  return [
    {
      ...read,
      path: `${v1}/events`,
      query: [...eventParameters, tokenParameter],
      run: createListEvents(streaming),
    },
    {
      ...read,
      path: `${v1}/emails/:id/events`,
      query: [...emailEventParameters, tokenParameter],
      run: createGetEvents(streaming),
    },
    {
      ...read,
      method: "POST",
      takesToken: false,
      path: `${v1}/events/token`,
      query: [],
      run: createStreamToken(deps),
    },
  ];
}

/** Where events are delivered to. */
export function webhookRoutes(deps: AppDeps, v1: string): Route[] {
  const read = { method: "GET", auth: "bearer", needs: "read", query: [] } as const;
  // What an endpoint is told, its owner may read: a key that only sends must not open a way around.
  const act = { method: "POST", auth: "bearer", needs: "send_and_read", query: [] } as const;
  const all = `${v1}/webhooks`;
  const one = `${all}/:id`;
  const page = [...pageParameters, "owner"];
  return [
    { ...act, path: all, body: webhookSchema, run: createCreateWebhook(deps) },
    { ...read, path: all, query: page, run: createListWebhooks(deps) },
    { ...read, path: one, run: createGetWebhook(deps) },
    {
      ...act,
      method: "PATCH",
      path: one,
      body: webhookChangeSchema,
      run: createPatchWebhook(deps),
    },
    { ...act, method: "DELETE", path: one, needs: "send", run: createDeleteWebhook(deps) },
    {
      ...act,
      path: `${one}/rotate-secret`,
      body: rotateSecretSchema,
      run: createRotateSecret(deps),
    },
    { ...act, path: `${one}/test`, body: webhookTestSchema, run: createTestWebhook(deps) },
    { ...act, path: `${one}/replay`, body: webhookReplaySchema, run: createReplayWebhook(deps) },
    {
      ...read,
      path: `${one}/deliveries`,
      query: deliveryParameters,
      run: createListDeliveries(deps),
    },
    {
      ...act,
      path: `${one}/deliveries/:delivery/replay`,
      run: createReplayDelivery(deps),
    },
  ];
}
