import { eraseSchema } from "../../emails/erase-recipient.ts";
import { holdSchema, releaseSchema } from "../../emails/hold-email.ts";
import { sendNowSchema } from "../../emails/send-now.ts";
import { cancelsSchema } from "../../request/bulk-fields.ts";
import { editSchema } from "../../request/to-edit.ts";
import {
  emailStatus,
  listedEmail,
  listedExample,
  pendingExample,
  statusExample,
  timelineEvent,
  wholeEmail,
} from "../answers/emails.ts";
import { eventExample } from "../answers/events.ts";
import { dataOf, lastPage, listOf } from "../answers/fields.ts";
import { bulkCancelled, cancelled, erased as erasedAnswer, shredded } from "../answers/work.ts";
import { emailWords } from "../email-words.ts";
import { type Answer, bodyOf, type Operation } from "../operation.ts";
import { emailId } from "../parameters.ts";
import { emailEventWords, eventParameters } from "./events.ts";

const v1 = "/api/v1";
const changed = (description: string, example: object = pendingExample): Answer => ({
  status: 200,
  description,
  body: { schema: dataOf(emailStatus), example: { success: true, data: example } },
});

/** What an email that is not pending any more is answered with. */
const endedErrors = [
  ...(["in_flight", "already_sent", "already_failed", "already_expired"] as const),
  ...(["already_suppressed", "outcome_uncertain"] as const),
];
export const changeErrors = [
  "not_found",
  ...endedErrors,
  "already_cancelled",
  "changed_meanwhile",
  "version_mismatch",
  "content_unreadable",
] as const;

export const narrowingWords = {
  tag: "Emails that carry this tag.",
  metadata: "Emails whose metadata hold all of these values, compared as text.",
  scheduled_after: "Emails due at this time or later.",
  scheduled_before: "Emails due before this time.",
};

const reading: readonly Operation[] = [
  {
    method: "GET",
    path: `${v1}/scheduled-emails`,
    id: "listEmails",
    group: "Emails",
    summary: "List emails",
    description: "The caller's emails, newest first; an admin's list has everybody's.",
    answers: [
      {
        status: 200,
        description: "One page, without attempts.",
        body: {
          schema: listOf(listedEmail),
          example: { success: true, data: [listedExample], page: lastPage },
        },
      },
    ],
  },
  {
    method: "GET",
    path: `${v1}/status/:id`,
    id: "getStatus",
    group: "Emails",
    summary: "Get the status of an email",
    description: "Where it is, every attempt, and what became of each recipient.",
    answers: [changed("The email and its attempts.", statusExample)],
    errors: ["not_found"],
  },
  {
    method: "GET",
    path: `${v1}/emails/:id`,
    id: "getEmail",
    group: "Emails",
    summary: "Get an email",
    description: "The status and what was asked for: sender, texts, headers, names of files.",
    answers: [
      {
        status: 200,
        description: "The email with its content.",
        body: {
          schema: dataOf(wholeEmail),
          example: {
            success: true,
            data: {
              ...statusExample,
              expires_at: null,
              max_lateness: null,
              on_late: "send",
              from: "Shop <shop@example.org>",
              reply_to: null,
              body: "Hello Ada,\n\nyour order has been sent.\n",
              html_body: null,
              headers: {},
              attachments: [],
            },
          },
        },
      },
    ],
    errors: ["not_found", "overloaded"],
  },
  {
    method: "GET",
    path: `${v1}/emails/:id/raw`,
    id: "getRawMessage",
    group: "Emails",
    summary: "Get the message",
    description:
      "The bytes that were or will be sent. Before an attempt its Date is `scheduled_at`; Bcc is " +
      "nowhere in it.",
    answers: [
      {
        status: 200,
        description: "The message (RFC 5322).",
        body: {
          type: "message/rfc822",
          example:
            "From: Shop <shop@example.org>\r\nTo: ada@example.com\r\nSubject: Your order\r\n",
        },
        headers: ["Content-Disposition"],
      },
    ],
    errors: ["not_found", "content_unreadable", "overloaded"],
  },
  {
    method: "GET",
    path: `${v1}/emails/:id/attachments/:n`,
    id: "getAttachment",
    group: "Emails",
    summary: "Get an attachment",
    description: "The bytes of one attachment, with its own media type.",
    answers: [
      {
        status: 200,
        description: "The file.",
        body: { type: "*/*", example: "Total: 42.00 EUR" },
        headers: ["Content-Disposition"],
      },
    ],
    errors: ["not_found", "content_unreadable", "overloaded"],
  },
  {
    method: "GET",
    path: `${v1}/emails/:id/events`,
    id: "listEmailEvents",
    group: "Emails",
    summary: "Get the timeline of an email",
    description: `Everything that happened to it, oldest first. ${emailEventWords}`,
    parameters: eventParameters,
    answers: [
      {
        status: 200,
        description: "The timeline.",
        body: {
          schema: listOf(timelineEvent),
          example: {
            success: true,
            data: [
              {
                ...eventExample,
                sequence: 3,
                at: "2030-01-04T08:00:00.412Z",
                actor: "worker:fra",
                action: "email.bounced",
                detail: { status: "failed", attempt: 1, recipient: 0, smtp_code: 550 },
              },
            ],
            page: { limit: 20, next_cursor: null },
          },
        },
      },
    ],
    errors: ["not_found", "overloaded"],
  },
];

const cancelledAnswers: readonly [Answer] = [
  {
    status: 200,
    description: "It is cancelled.",
    body: {
      schema: dataOf(cancelled),
      example: { success: true, data: { id: emailId, status: "cancelled" } },
    },
  },
];

const changing: readonly Operation[] = [
  {
    method: "PATCH",
    path: `${v1}/emails/:id`,
    id: "updateEmail",
    group: "Emails",
    summary: "Change an email",
    description:
      "Changes any field of a pending or held email until its message is on the way. What is left " +
      "out stays; null means the default.",
    headers: ["If-Match"],
    body: bodyOf(editSchema, {
      name: "EmailEdit",
      words: emailWords,
      examples: {
        later: { summary: "Another time", value: { scheduled_at: "2030-01-05T09:00:00+01:00" } },
        text: { summary: "Another text", value: { subject: "Your order 8713 (corrected)" } },
      },
    }),
    answers: [changed("The email as it is now.", { ...pendingExample, version: 2 })],
    errors: [...changeErrors, "not_supported_yet"],
  },
  {
    method: "DELETE",
    path: `${v1}/cancel/:id`,
    id: "cancelEmail",
    group: "Emails",
    summary: "Cancel an email",
    description:
      "200 means that it will never be sent, also when it was cancelled before. 409 says why it " +
      "cannot be any more.",
    answers: cancelledAnswers,
    errors: ["not_found", ...endedErrors],
  },
  {
    method: "DELETE",
    path: `${v1}/emails/:id`,
    id: "deleteEmail",
    group: "Emails",
    summary: "Cancel an email, by its other name",
    description: "The same as `DELETE /api/v1/cancel/{id}`.",
    answers: cancelledAnswers,
    errors: ["not_found", ...endedErrors],
  },
  {
    method: "POST",
    path: `${v1}/cancel`,
    id: "cancelEmails",
    group: "Emails",
    summary: "Cancel many emails",
    description:
      "Cancels all pending and held emails that the filter finds, the oldest 100,000 at most. At " +
      "least one field of the filter is needed. `dry_run` counts and changes nothing.",
    headers: ["Idempotency-Key"],
    body: bodyOf(cancelsSchema, {
      name: "BulkCancel",
      words: { ...narrowingWords, dry_run: "`true`: count them, change nothing." },
      examples: {
        tag: { summary: "By tag", value: { tag: "newsletter" } },
        count: {
          summary: "Count only",
          value: { metadata: { campaign: "spring" }, dry_run: true },
        },
      },
    }),
    answers: [
      {
        status: 200,
        description: "How many were found and cancelled.",
        body: {
          schema: dataOf(bulkCancelled),
          example: {
            success: true,
            data: { matched: 214, cancelled: 214, bulk_id: emailId, warnings: [] },
          },
        },
        headers: ["Idempotent-Replayed"],
      },
    ],
  },
  {
    method: "POST",
    path: `${v1}/emails/:id/hold`,
    id: "holdEmail",
    group: "Emails",
    summary: "Hold an email",
    description: "Keeps a pending email from being sent until somebody releases it.",
    body: bodyOf(holdSchema, {
      name: "Hold",
      isOptional: true,
      words: {},
      examples: { hold: { summary: "Hold it", value: {} } },
    }),
    answers: [changed("The email, held.", { ...pendingExample, status: "held", version: 2 })],
    errors: ["not_found", ...endedErrors, "already_cancelled", "changed_meanwhile"],
  },
  {
    method: "POST",
    path: `${v1}/emails/:id/release`,
    id: "releaseEmail",
    group: "Emails",
    summary: "Release a held email",
    description: "Makes a held email pending again, at its time or at `scheduled_at`.",
    body: bodyOf(releaseSchema, {
      name: "Release",
      isOptional: true,
      words: {
        scheduled_at: "A new time. Left out: when it was due, or now when that has passed.",
      },
      examples: {
        asItWas: { summary: "At its time", value: {} },
        later: { summary: "Later", value: { scheduled_at: "2030-01-05T09:00:00Z" } },
      },
    }),
    answers: [changed("The email, pending.", { ...pendingExample, version: 3 })],
    errors: ["not_found", "not_held", "changed_meanwhile"],
  },
  {
    method: "POST",
    path: `${v1}/emails/:id/send-now`,
    id: "sendNow",
    group: "Emails",
    summary: "Send an email now",
    description: "Makes a pending or held email due now.",
    headers: ["If-Match"],
    body: bodyOf(sendNowSchema, {
      name: "SendNow",
      isOptional: true,
      words: {},
      examples: { now: { summary: "Now", value: {} } },
    }),
    answers: [changed("The email, due now.", { ...pendingExample, version: 2 })],
    errors: [...changeErrors, "not_held"],
  },
  {
    method: "DELETE",
    path: `${v1}/emails/:id/content`,
    id: "destroyContent",
    group: "Emails",
    summary: "Destroy the content of an email",
    description:
      "Destroys the key that the content of an ended email is encrypted with: subject, addresses, " +
      "texts and replies are null from then on, for everybody and in every backup that has no " +
      "older key. Status and journal stay.",
    answers: [
      {
        status: 200,
        description: "It is destroyed, or already was.",
        body: {
          schema: dataOf(shredded),
          example: { success: true, data: { id: emailId, status: "sent", content: "destroyed" } },
        },
      },
    ],
    errors: ["not_found", "not_finished"],
  },
  {
    method: "POST",
    path: `${v1}/erase`,
    id: "eraseRecipient",
    group: "Emails",
    summary: "Erase one person's data",
    description:
      "Destroys the content of every email to an address that has ended: the caller's own, for an admin " +
      "everybody's. The whole email goes, also where it had other recipients; states, times, tags, " +
      "metadata and the journal remain. Emails that may still be sent are counted and left alone: cancel " +
      "them and ask again.",
    body: bodyOf(eraseSchema, {
      name: "Erase",
      words: {
        recipient: "The person's address.",
        owner: "For admins: only this owner's emails.",
        dry_run: "`true`: count, destroy nothing.",
      },
      examples: {
        one: { summary: "Somebody who asked for it", value: { recipient: "ada@example.com" } },
      },
    }),
    answers: [
      {
        status: 200,
        description: "How many.",
        body: {
          schema: dataOf(erasedAnswer),
          example: { success: true, data: { erased: 12, not_finished: 1, dry_run: false } },
        },
      },
    ],
  },
];

export const emailOperations: readonly Operation[] = [...reading, ...changing];
