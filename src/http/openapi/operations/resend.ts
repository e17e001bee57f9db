import { z } from "zod";
import { resendEmailSchema, resendUpdateSchema } from "../../resend/email-fields.ts";
import { resendBatchSchema } from "../../resend/routes.ts";
import { instant, instantOrNull, text, uuid, whole } from "../answers/fields.ts";
import { type Answer, bodyOf, type Operation } from "../operation.ts";
import { emailId } from "../parameters.ts";

/** Of `resend.emails.get()`; what Resend knows and this server does not, such as `clicked`, never comes. */
const lastEvent = z
  .enum([
    ...(["queued", "scheduled", "sent", "delivery_delayed", "bounced", "failed"] as const),
    ...(["canceled", "suppressed"] as const),
  ])
  .meta({ description: "Where it is, in the nearest of Resend's words." });
const addresses = (description: string) => z.array(z.string()).meta({ description });

export const resendSent = z.object({
  id: uuid("Id of the email, here and in every other route."),
  scheduled_at: instant("When it is due, in UTC; absent: now.").optional(),
});

const listed = {
  id: uuid("Id of the email."),
  message_id: z.string().nullable().meta({ description: "Its Message-ID." }),
  from: text("The From line; empty once the content is destroyed."),
  to: addresses("The To line."),
  cc: addresses("The Cc line."),
  bcc: addresses("Recipients whom nobody sees."),
  reply_to: addresses("Where answers go."),
  subject: text("Empty once the content is destroyed."),
  created_at: instant("When it was accepted."),
  scheduled_at: instantOrNull("When it is, or was, due; null: it was not scheduled."),
  last_event: lastEvent,
};
export const resendListedEmail = z.object(listed);
export const resendWholeEmail = z.object({
  object: z.literal("email").meta({ description: "Always this." }),
  ...listed,
  html: z.string().nullable().meta({ description: "The HTML part." }),
  text: z.string().nullable().meta({ description: "The text part." }),
  tags: z
    .array(z.object({ name: text("Key of the metadata."), value: text("Its value.") }))
    .meta({ description: "Every text of the email's metadata." }),
});

const changed = z.object({
  object: z.literal("email").meta({ description: "Always this." }),
  id: uuid("Id of the email."),
  scheduled_at: instant("When it is due by now, in UTC.").optional(),
});

const domain = z.object({
  id: uuid("Made of its name."),
  name: text("The domain."),
  status: z.literal("verified").meta({ description: "Always: the configuration permits it." }),
  created_at: instant("Not known: the beginning of 1970."),
  region: text("The region that answers."),
  capabilities: z
    .object({
      sending: z.literal("enabled").meta({ description: "Always." }),
      receiving: z.literal("disabled").meta({ description: "Always." }),
    })
    .meta({ description: "What it may be used for." }),
});

function listOf(entry: z.ZodType) {
  return z.object({
    object: z.literal("list").meta({ description: "Always this." }),
    has_more: z.boolean().meta({ description: "Whether there are more in this direction." }),
    data: z.array(entry).meta({ description: "The entries." }),
  });
}

const words = {
  from: "`a@b` or `Name <a@b>`, of a domain that `SMTP_FROM_ALLOWED` permits.",
  to: "One address or a list; 1 to 50 with `cc` and `bcc` together.",
  cc: "One address or a list.",
  bcc: "One address or a list.",
  subject: "1 to 998 characters on one line.",
  html: "The HTML part. Without `text` a text part is made of it.",
  text: "The text part. An empty one: none.",
  reply_to: "One address or a list.",
  headers: "Headers of your own, as of `POST /api/v1/schedule-mail`.",
  tags: "Stored as metadata: `{ name, value }` becomes `metadata.<name>`.",
  attachments:
    "`{ filename, content, content_type, content_id }`, `content` in base64. A `path` is refused.",
  scheduled_at:
    'RFC 3339, or a phrase such as "in 1 min" or "tomorrow at 9am"; see the page on times.',
  template: "Not supported.",
  topic_id: "Not supported.",
};

const hello = {
  from: "Shop <shop@example.org>",
  to: ["ada@example.com"],
  subject: "Hello",
  html: "<p>It works.</p>",
};
const later = { ...hello, scheduled_at: "2030-01-05T09:00:00Z" };
const listedExample = {
  id: emailId,
  message_id: `<${emailId}@example.org>`,
  from: "Shop <shop@example.org>",
  to: ["ada@example.com"],
  cc: [],
  bcc: [],
  reply_to: [],
  subject: "Hello",
  created_at: "2030-01-02T14:31:07.120Z",
  scheduled_at: "2030-01-05T09:00:00.000Z",
  last_event: "scheduled",
};

function ok(description: string, schema: z.ZodType, example: unknown): Answer {
  return { status: 200, description, body: { schema, example } };
}

function kept(answer: Answer): Answer {
  return { ...answer, headers: ["Idempotent-Replayed"] };
}

const place = (description: string) => ({
  description,
  schema: { type: "string", format: "uuid" },
  example: emailId,
});
/** Examples of ids that no list has would be answered with 404. */
const paging = {
  after: place("Id of an entry: those that come after it."),
  before: place("Id of an entry: those that come before it. Not together with `after`."),
};
const shared = { group: "Resend", dialect: "resend" } as const;

export const resendOperations: readonly Operation[] = [
  {
    ...shared,
    method: "POST",
    path: "/emails",
    id: "resendSendEmail",
    summary: "Send an email",
    description: "`resend.emails.send()`. The email is an ordinary one of every other route.",
    headers: ["Idempotency-Key"],
    body: bodyOf(resendEmailSchema, {
      name: "ResendEmail",
      words,
      examples: {
        now: { summary: "Now", value: hello },
        later: { summary: "Later", value: later },
      },
    }),
    answers: [kept(ok("It is accepted.", resendSent, { id: emailId }))],
  },
  {
    ...shared,
    method: "POST",
    path: "/emails/batch",
    id: "resendSendBatch",
    summary: "Send up to 100 emails",
    description:
      "`resend.batch.send()`: all or nothing; with the header `x-batch-validation: permissive` " +
      "what is fit. Schedules and attachments are taken here, too.",
    headers: ["Idempotency-Key"],
    body: {
      name: "ResendBatch",
      schema: resendBatchSchema,
      isOptional: false,
      words: {},
      examples: { two: { summary: "Two emails", value: [hello, later] } },
    },
    answers: [
      kept(
        ok(
          "They are accepted, in the order of the request.",
          z.object({
            data: z.array(resendSent).meta({ description: "The new emails." }),
            errors: z
              .array(
                z.object({
                  index: whole("Place, from 0."),
                  message: text("The fault of this email."),
                }),
              )
              .optional()
              .meta({ description: "Those that are not fit; only when permissive." }),
          }),
          { data: [{ id: emailId }] },
        ),
      ),
    ],
  },
  {
    ...shared,
    method: "GET",
    path: "/emails",
    id: "resendListEmails",
    summary: "List emails",
    description: "`resend.emails.list()`, newest first.",
    parameters: paging,
    answers: [
      ok("One page.", listOf(resendListedEmail), {
        object: "list",
        has_more: false,
        data: [listedExample],
      }),
    ],
  },
  {
    ...shared,
    method: "GET",
    path: "/emails/:id",
    id: "resendGetEmail",
    summary: "Get an email",
    description: "`resend.emails.get()`.",
    answers: [
      ok("The email.", resendWholeEmail, {
        object: "email",
        ...listedExample,
        html: "<p>It works.</p>",
        text: "It works.",
        tags: [{ name: "campaign", value: "spring" }],
      }),
    ],
  },
  {
    ...shared,
    method: "PATCH",
    path: "/emails/:id",
    id: "resendUpdateEmail",
    summary: "Reschedule an email",
    description: "`resend.emails.update()`: its time, which is all that Resend changes.",
    body: bodyOf(resendUpdateSchema, {
      name: "ResendUpdate",
      words: { scheduled_at: words.scheduled_at },
      examples: {
        later: { summary: "Later", value: { scheduled_at: "2030-01-05T09:00:00Z" } },
        phrase: { summary: "In words", value: { scheduled_at: "in 2 hours" } },
      },
    }),
    answers: [
      ok("It is due then.", changed, {
        object: "email",
        id: emailId,
        scheduled_at: "2030-01-05T09:00:00.000Z",
      }),
    ],
  },
  {
    ...shared,
    method: "POST",
    path: "/emails/:id/cancel",
    id: "resendCancelEmail",
    summary: "Cancel an email",
    description: "`resend.emails.cancel()`: it will never be sent.",
    answers: [ok("It is cancelled.", changed, { object: "email", id: emailId })],
  },
  {
    ...shared,
    method: "GET",
    path: "/domains",
    id: "resendListDomains",
    summary: "List domains",
    description: "`resend.domains.list()`: the domains that `SMTP_FROM_ALLOWED` permits.",
    parameters: paging,
    answers: [
      ok("One page.", listOf(domain), {
        object: "list",
        has_more: false,
        data: [
          {
            id: "0b5f2f1e-7f0c-8d11-8a51-2f0d6a4cf0aa",
            name: "example.org",
            status: "verified",
            created_at: "1970-01-01T00:00:00.000Z",
            region: "fra",
            capabilities: { sending: "enabled", receiving: "disabled" },
          },
        ],
      }),
    ],
  },
];
