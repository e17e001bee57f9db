import { z } from "zod";
import { instant, instantOrNull, page, text, uuid, whole } from "./fields.ts";

const webhookFields = {
  id: uuid("Id of the webhook."),
  url: text("Where events are sent to."),
  description: z.string().nullable().meta({ description: "What it is for, in your words." }),
  events: z.array(z.string()).meta({ description: "Types of events, or `email.*`." }),
  tags: z.array(z.string()).meta({
    description: "Only events of emails that carry one of them; empty: of any.",
  }),
  enabled: z.boolean().meta({ description: "False: nothing is sent." }),
  all_owners: z.boolean().meta({ description: "It hears of everybody's events; for admins." }),
  owner: text("Whose it is."),
  created_at: instant("When it was made."),
  disabled_at: instantOrNull("When it was disabled."),
  disabled_reason: z.enum(["gone", "failing"]).nullable().meta({
    description: "`gone`: it answered 410. `failing`: nothing succeeded in five days.",
  }),
  failures: whole("Failures since the last success."),
  failing_since: instantOrNull("When the first of them was."),
  last_success_at: instantOrNull("When an event was last taken."),
  old_secret_until: instantOrNull("Until when a rotated secret signs beside the new one."),
};

export const webhook = z.object(webhookFields);
export const webhookWithSecret = z.object({
  ...webhookFields,
  secret: text("What signatures are checked with. Shown here and never again."),
});

export const deletedWebhook = z.object({
  id: uuid("Id of the webhook."),
  deleted: z.literal(true).meta({ description: "Always true." }),
});

export const webhookDelivery = z.object({
  id: text("The `webhook-id` of every try."),
  type: text("Of the event."),
  event_id: z.string().nullable().meta({
    description: "The event's place in the journal; null: it was a test.",
  }),
  email_id: z.string().nullable().meta({ description: "Which email." }),
  sequence: z.int().nullable().meta({ description: "Orders the events of one email." }),
  outcome: z.enum(["pending", "delivered", "failed"]).meta({
    description: "`pending`: it will be tried again; `failed`: it will not.",
  }),
  tries: whole("How often it was tried."),
  status_code: z.int().nullable().meta({ description: "Of the last answer; null: none came." }),
  error: z.string().nullable().meta({ description: "Why the last try failed." }),
  duration_ms: z.int().nullable().meta({ description: "How long the last try took." }),
  answer: z.string().nullable().meta({ description: "The first 4 kB of the last answer." }),
  created_at: instant("When it was first tried."),
  last_try_at: instantOrNull("When it was last tried."),
  next_try_at: instantOrNull("When it will be tried again; null unless pending."),
});

export const deliveryPage = z.object({
  success: z.literal(true).meta({ description: "Always true here." }),
  data: z.array(webhookDelivery),
  page,
});

export const replayed = z.object({
  matched: whole("Events of that time that the webhook asks for."),
  replayed: whole("How many are sent again; 0 in a dry run."),
});

export const webhookId = "01977c3e-7b40-7e20-9f5b-6d1e0c2a3b44";

export const webhookExample = {
  id: webhookId,
  url: "https://example.com/hooks/mail",
  description: "Order mails",
  events: ["email.bounced", "email.failed"],
  tags: ["orders"],
  enabled: true,
  all_owners: false,
  owner: "ada",
  created_at: "2030-01-02T14:31:07.120Z",
  disabled_at: null,
  disabled_reason: null,
  failures: 0,
  failing_since: null,
  last_success_at: "2030-01-04T08:00:00.512Z",
  old_secret_until: null,
};

export const deliveryExample = {
  id: "msg_5wFzW0yVhKQ0v1N2c3R4dE5fG6h",
  type: "email.bounced",
  event_id: "4711",
  email_id: "01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10",
  sequence: 3,
  outcome: "delivered",
  tries: 1,
  status_code: 200,
  error: null,
  duration_ms: 41,
  answer: "ok",
  created_at: "2030-01-04T08:00:00.512Z",
  last_try_at: "2030-01-04T08:00:00.512Z",
  next_try_at: null,
};
