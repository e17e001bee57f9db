import { z } from "zod";
import { batchSchema } from "../../emails/schedule-batch.ts";
import { testEmailSchema } from "../../emails/send-test-email.ts";
import { emailSchema } from "../../request/email-schema.ts";
import { acceptedEmail, batchEntry, dryRun } from "../answers/emails.ts";
import { dataOf } from "../answers/fields.ts";
import { testResult } from "../answers/work.ts";
import { emailWords } from "../email-words.ts";
import { bodyOf, type Operation } from "../operation.ts";
import { emailId } from "../parameters.ts";

const simple = {
  recipients: ["ada@example.com"],
  subject: "Your order 8713",
  body: "Hello Ada,\n\nyour order has been sent.\n",
  scheduled_at: "2030-01-04T09:00:00+01:00",
};

const full = {
  recipients: ["Ada Lovelace <ada@example.com>"],
  cc: [{ address: "grace@example.com", name: "Grace Hopper" }],
  bcc: ["archive@example.org"],
  from: "Shop <shop@example.org>",
  reply_to: "help@example.org",
  subject: "Your invoice",
  body: "Your invoice is attached.\n",
  html_body: "<p>Your invoice is attached.</p>",
  scheduled_at: "2030-01-04T08:00:00Z",
  max_lateness: 3600,
  on_late: "hold",
  on_uncertain: "hold",
  max_retries: 5,
  max_age: 86400,
  attachments: [
    {
      filename: "invoice.txt",
      content: "VG90YWw6IDQyLjAwIEVVUgo=",
      contentType: "text/plain",
    },
  ],
  headers: { "X-Order": "8713" },
  tags: ["orders"],
  metadata: { order: "8713" },
};

const accepted = {
  id: emailId,
  status: "pending",
  scheduled_at: "2030-01-04T08:00:00.000Z",
  created_at: "2030-01-02T14:31:07.120Z",
  version: 1,
};

export const schedulingOperations: readonly Operation[] = [
  {
    method: "POST",
    path: "/api/v1/schedule-mail",
    id: "scheduleMail",
    group: "Emails",
    summary: "Schedule an email",
    description:
      "Accepts one email. Once it is answered 201 the email is stored and will be sent at " +
      "`scheduled_at`, or as soon as possible when that is left out. One of `body`, `html_body` " +
      "and `attachments` is needed, and 1 to 50 addresses in `recipients`, `cc` and `bcc` together.",
    headers: ["Idempotency-Key"],
    body: bodyOf(emailSchema, {
      name: "Email",
      words: emailWords,
      examples: {
        simple: { summary: "A text at a time", value: simple },
        now: {
          summary: "As soon as possible",
          value: { recipients: ["ada@example.com"], subject: "Hello", html_body: "<p>Hello</p>" },
        },
        full: { summary: "Most of the fields", value: full },
      },
    }),
    answers: [
      {
        status: 201,
        description:
          "The email is stored and will be sent; with `individual: true` one entry for each email.",
        body: {
          schema: z.union([dataOf(acceptedEmail), dataOf(z.array(batchEntry))]),
          example: { success: true, data: accepted },
        },
        headers: ["Idempotent-Replayed"],
      },
      {
        status: 200,
        description: "With `dry_run=true`: what it would be; nothing is stored.",
        body: {
          schema: dataOf(dryRun),
          example: {
            success: true,
            data: {
              message: "From: Shop <shop@example.org>\r\nTo: ada@example.com\r\n…",
              size_bytes: 612,
              scheduled_at: "2030-01-04T08:00:00.000Z",
              warnings: [],
            },
          },
        },
      },
    ],
    errors: ["not_supported_yet", "quota_exceeded"],
  },
  {
    method: "POST",
    path: "/api/v1/schedule-mail/batch",
    id: "scheduleBatch",
    group: "Emails",
    summary: "Schedule many emails",
    description:
      "Accepts 1 to 500 emails in one transaction. `strict` stores all of them or, when one is at " +
      "fault, none; `permissive` stores those that are fit and says of each other one why not.",
    headers: ["Idempotency-Key"],
    body: bodyOf(batchSchema, {
      name: "Batch",
      words: {
        emails: "1 to 500 emails, each with the fields of `POST /api/v1/schedule-mail`.",
        mode: "`strict` (default): all or nothing. `permissive`: what is fit.",
      },
      examples: {
        strict: {
          summary: "All or nothing",
          value: { emails: [simple, { ...simple, recipients: ["grace@example.com"] }] },
        },
        permissive: {
          summary: "Stores the emails that are valid",
          value: {
            mode: "permissive",
            emails: [simple, { ...simple, recipients: ["nobody"] }],
          },
        },
      },
    }),
    answers: [
      {
        status: 201,
        description: "One entry for each email of the request, in its order.",
        body: {
          schema: dataOf(z.array(batchEntry)),
          example: {
            success: true,
            data: [
              { index: 0, id: emailId },
              {
                index: 1,
                error: {
                  code: "invalid_content",
                  detail: "One place of the request is at fault; see errors.",
                  errors: [
                    {
                      pointer: "/emails/1/recipients/0",
                      detail: 'expected a@b, Name <a@b> or { address, name }, got "nobody"',
                    },
                  ],
                },
              },
            ],
          },
        },
        headers: ["Idempotent-Replayed"],
      },
    ],
    errors: ["not_supported_yet", "quota_exceeded"],
  },
  {
    method: "POST",
    path: "/api/v1/test-email",
    id: "sendTestEmail",
    group: "Emails",
    summary: "Send a test email",
    description:
      "Sends one real email through the whole pipeline, without retries, and answers when it has " +
      "ended, or after 30 seconds as it stands. That the server refuses it is an answer too " +
      "(`status: failed`), with advice on what to do.",
    headers: ["Idempotency-Key"],
    body: bodyOf(testEmailSchema, {
      name: "TestEmail",
      words: { to: "Where to: `a@b`, `Name <a@b>` or `{ address, name }`." },
      examples: { one: { summary: "To one address", value: { to: "ada@example.com" } } },
    }),
    answers: [
      {
        status: 200,
        description: "How it ended, or how it stood after 30 seconds.",
        body: {
          schema: dataOf(testResult),
          example: {
            success: true,
            data: {
              id: emailId,
              status: "sent",
              smtp_code: 250,
              reply: "OK queued as 4XyZ",
              transport: "smtp.example.com:587",
              duration_ms: 431,
              advice: "The server took it.",
            },
          },
        },
        headers: ["Idempotent-Replayed"],
      },
    ],
    errors: ["not_found", "quota_exceeded"],
  },
];
