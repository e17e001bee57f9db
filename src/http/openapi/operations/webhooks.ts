import {
  rotateSecretSchema,
  webhookChangeSchema,
  webhookReplaySchema,
  webhookSchema,
  webhookTestSchema,
} from "../../request/webhook-fields.ts";
import { dataOf, lastPage, listOf } from "../answers/fields.ts";
import {
  deletedWebhook,
  deliveryExample,
  deliveryPage,
  replayed,
  webhook,
  webhookDelivery,
  webhookExample,
  webhookId,
  webhookWithSecret,
} from "../answers/webhooks.ts";
import { bodyOf, type Operation, type Parameter } from "../operation.ts";

const all = "/api/v1/webhooks";
const one = `${all}/:id`;
const group = "Webhooks";
const secretExample = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw7Hq0qNpD5xE=";

const id: Parameter = {
  description: "Id of the webhook.",
  schema: { type: "string", format: "uuid" },
  example: webhookId,
};
const parameters = { id };

const words = {
  url: "Where events are sent to: `https://`, unless WEBHOOK_ALLOW_PRIVATE is set.",
  events: "Types of events; `email.*` stands for all of emails. Default: `email.*`.",
  tags: "Only events of emails that carry one of them. Default: of any.",
  description: "What it is for, in your words.",
  enabled: "False: nothing is sent until it is true. Default: true.",
};

const withSecret = {
  schema: dataOf(webhookWithSecret),
  example: { success: true, data: { ...webhookExample, secret: secretExample } },
};
const plain = {
  schema: dataOf(webhook),
  example: { success: true, data: webhookExample },
};
const delivery = {
  schema: dataOf(webhookDelivery),
  example: { success: true, data: deliveryExample },
};

const endpoints: readonly Operation[] = [
  {
    method: "POST",
    path: all,
    id: "createWebhook",
    group,
    summary: "Create a webhook",
    description:
      "Events that are sealed from now on are sent there as POST, signed as Standard Webhooks " +
      "1.0.0 says. At most 20 of one owner.",
    headers: ["Idempotency-Key"],
    body: bodyOf(webhookSchema, {
      name: "NewWebhook",
      words: {
        ...words,
        all_owners: "True: everybody's events, and `system.*`. For admins. Default: false.",
        secret: "A secret of your own: `whsec_` and the base64 of 24 to 64 bytes.",
      },
      examples: {
        bounces: {
          summary: "Bounces of order mails",
          value: {
            url: "https://example.com/hooks/mail",
            events: ["email.bounced", "email.failed"],
            tags: ["orders"],
            description: "Order mails",
          },
        },
      },
    }),
    answers: [{ status: 201, description: "The webhook, and its secret.", body: withSecret }],
    errors: ["too_many_webhooks"],
  },
  {
    method: "GET",
    path: all,
    id: "listWebhooks",
    group,
    summary: "List webhooks",
    description: "Newest first, disabled ones too.",
    parameters: {
      owner: {
        description: "Webhooks of this owner. Only an admin may ask for another owner's.",
        schema: { type: "string", minLength: 1, maxLength: 255 },
        example: "ada",
      },
    },
    answers: [
      {
        status: 200,
        description: "A page of webhooks.",
        body: {
          schema: listOf(webhook),
          example: { success: true, data: [webhookExample], page: lastPage },
        },
      },
    ],
  },
  {
    method: "GET",
    path: one,
    id: "getWebhook",
    group,
    summary: "Get a webhook",
    description: "As it is now; never its secret.",
    parameters,
    answers: [{ status: 200, description: "The webhook.", body: plain }],
    errors: ["not_found"],
  },
  {
    method: "PATCH",
    path: one,
    id: "updateWebhook",
    group,
    summary: "Change a webhook",
    description:
      "For what is begun from now on. One that is enabled again hears of what happens from then " +
      "on: replay what it missed.",
    parameters,
    body: bodyOf(webhookChangeSchema, {
      name: "WebhookChange",
      words,
      examples: { enable: { summary: "Enable it again", value: { enabled: true } } },
    }),
    answers: [{ status: 200, description: "The webhook as it is now.", body: plain }],
    errors: ["not_found"],
  },
  {
    method: "DELETE",
    path: one,
    id: "deleteWebhook",
    group,
    summary: "Delete a webhook",
    description: "What waited for it is sent no more.",
    parameters,
    answers: [
      {
        status: 200,
        description: "It is gone.",
        body: {
          schema: dataOf(deletedWebhook),
          example: { success: true, data: { id: webhookId, deleted: true } },
        },
      },
    ],
    errors: ["not_found"],
  },
  {
    method: "POST",
    path: `${one}/rotate-secret`,
    id: "rotateWebhookSecret",
    group,
    summary: "Rotate the secret",
    description: "For 24 hours the former secret signs beside the new one.",
    parameters,
    body: bodyOf(rotateSecretSchema, {
      name: "SecretRotation",
      isOptional: true,
      words: { secret: "A secret of your own; default: a new one is made." },
      examples: { made: { summary: "A new one is made", value: {} } },
    }),
    answers: [{ status: 200, description: "The webhook, and its new secret.", body: withSecret }],
    errors: ["not_found"],
  },
];

const deliveries: readonly Operation[] = [
  {
    method: "POST",
    path: `${one}/test`,
    id: "testWebhook",
    group,
    summary: "Send a test event",
    description: "One signed event, once, also while it is disabled; answers what became of it.",
    parameters,
    body: bodyOf(webhookTestSchema, {
      name: "WebhookTest",
      isOptional: true,
      words: {
        type: "Type of the event; default `webhook.test`. Its email never was: tags are `webhook-test`. `system.*` types for webhooks with `all_owners`.",
      },
      examples: { bounce: { summary: "As for a bounce", value: { type: "email.bounced" } } },
    }),
    answers: [{ status: 200, description: "What became of it.", body: delivery }],
    errors: ["not_found"],
  },
  {
    method: "GET",
    path: `${one}/deliveries`,
    id: "listWebhookDeliveries",
    group,
    summary: "List deliveries",
    description: "One row per event, newest first; kept 30 days after the last try.",
    parameters: {
      id,
      outcome: {
        description: "Deliveries that came to this.",
        schema: { type: "string", enum: ["pending", "delivered", "failed"] },
        example: "failed",
      },
      cursor: {
        description: "`page.next_cursor` of the answer before: the next page.",
        schema: { type: "string", minLength: 1, maxLength: 200 },
        example: Buffer.from(
          JSON.stringify(["2030-01-02 03:04:05.678901+00", deliveryExample.id]),
        ).toString("base64url"),
      },
    },
    answers: [
      {
        status: 200,
        description: "A page of deliveries.",
        body: {
          schema: deliveryPage,
          example: {
            success: true,
            data: [deliveryExample],
            page: { limit: 20, offset: 0, next_cursor: null },
          },
        },
      },
    ],
    errors: ["not_found"],
  },
  {
    method: "POST",
    path: `${one}/deliveries/:delivery/replay`,
    id: "replayWebhookDelivery",
    group,
    summary: "Send an event again",
    description: "Under the same `webhook-id`, with its tries counted anew.",
    parameters: {
      id,
      delivery: {
        description: "Id of the delivery.",
        schema: { type: "string" },
        example: deliveryExample.id,
      },
    },
    answers: [{ status: 202, description: "It is due now.", body: delivery }],
    errors: ["not_found"],
  },
  {
    method: "POST",
    path: `${one}/replay`,
    id: "replayWebhook",
    group,
    summary: "Send the events of a time again",
    description:
      "All that happened in that time and that the webhook asks for, whether it was delivered or " +
      "not, under the same ids.",
    parameters,
    body: bodyOf(webhookReplaySchema, {
      name: "WebhookReplay",
      words: {
        from: "What happened at this time or later.",
        to: "What happened before it; default: now.",
        rate_per_minute: "At most so many in a minute; default: as fast as they are taken.",
        dry_run: "True: count, send nothing.",
      },
      examples: {
        outage: {
          summary: "What an outage of the receiver missed",
          value: { from: "2026-01-02T14:00:00Z", rate_per_minute: 600, dry_run: true },
        },
      },
    }),
    answers: [
      {
        status: 202,
        description: "How many.",
        body: {
          schema: dataOf(replayed),
          example: { success: true, data: { matched: 214, replayed: 0 } },
        },
      },
    ],
    errors: ["not_found"],
  },
];

export const webhookOperations: readonly Operation[] = [...endpoints, ...deliveries];
