import {
  type deadLetterFilterSchema,
  dismissesSchema,
  dismissSchema,
  replaysSchema,
} from "../../request/bulk-fields.ts";
import { editSchema } from "../../request/to-edit.ts";
import { emailStatus, failedExample, pendingExample } from "../answers/emails.ts";
import { dataOf, lastPage, listOf } from "../answers/fields.ts";
import { bulkDismissed, bulkReplayed, deadLetterGroup } from "../answers/work.ts";
import { emailWords } from "../email-words.ts";
import { bodyOf, type Operation } from "../operation.ts";
import { emailId } from "../parameters.ts";
import { narrowingWords } from "./emails.ts";

const v1 = "/api/v1";

/** Of the object in `filter`, which is read by itself. */
export const deadLetterFilterWords: Readonly<
  Record<keyof typeof deadLetterFilterSchema.shape, string>
> = {
  ...narrowingWords,
  status:
    "Of this status. Uncertain ones may have been sent: they are meant only by this, or by `ids`.",
  group: "Of this group, as `GET /api/v1/dead-letters/groups` names it.",
  smtp_code: "Whose last reply had this code.",
  domain: "That concern recipients at this domain.",
  ids: "Of these ids, 1 to 1,000.",
  all: "`true`: every dead letter. Needed when nothing else narrows the filter.",
};

const listingAndReplaying: readonly Operation[] = [
  {
    method: "GET",
    path: `${v1}/dead-letters`,
    id: "listDeadLetters",
    group: "Dead letters",
    summary: "List dead letters",
    description:
      "Failed, uncertain, held and partially sent emails, newest first, each with its attempts.",
    answers: [
      {
        status: 200,
        description: "One page.",
        body: {
          schema: listOf(emailStatus),
          example: { success: true, data: [failedExample], page: lastPage },
        },
      },
    ],
  },
  {
    method: "GET",
    path: `${v1}/dead-letters/groups`,
    id: "listDeadLetterGroups",
    group: "Dead letters",
    summary: "Group dead letters",
    description: "What failed alike: by the server's reply without what varies, and by domain.",
    parameters: {
      owner: {
        description: "Groups of this owner. Only an admin may ask for another owner's.",
        schema: { type: "string", minLength: 1, maxLength: 255 },
        example: "ada",
      },
      cursor: {
        description: "`page.next_cursor` of the answer before: the next page.",
        schema: { type: "string", minLength: 1, maxLength: 200 },
        example: Buffer.from('{"offset":20}').toString("base64url"),
      },
    },
    answers: [
      {
        status: 200,
        description: "One page, the largest group first.",
        body: {
          schema: listOf(deadLetterGroup),
          example: {
            success: true,
            data: [
              {
                group: "q7Qx0b1m2N3p",
                count: 12,
                by_status: { failed: 12 },
                smtp_code: 550,
                enhanced_code: "5.1.1",
                reply: "No such user here",
                reply_pattern: "no such user here",
                domain: "example.com",
                first_at: "2030-01-04T08:00:00.412Z",
                last_at: "2030-01-04T09:12:44.001Z",
                sample_email_id: emailId,
              },
            ],
            page: lastPage,
          },
        },
      },
    ],
  },
  {
    method: "POST",
    path: `${v1}/dead-letters/:id/replay`,
    id: "replayDeadLetter",
    group: "Dead letters",
    summary: "Replay a dead letter",
    description:
      "Sends it again to those who have not got it, now or at `scheduled_at`, edited by any field " +
      "of an email. It keeps its Message-ID.",
    headers: ["If-Match"],
    body: bodyOf(editSchema, {
      name: "EmailEdit",
      isOptional: true,
      words: emailWords,
      examples: {
        asItIs: { summary: "As it is, now", value: {} },
        corrected: {
          summary: "To another address",
          value: { recipients: ["ada@example.net"], scheduled_at: "2030-01-05T09:00:00Z" },
        },
      },
    }),
    answers: [
      {
        status: 200,
        description: "The email, pending again.",
        body: {
          schema: dataOf(emailStatus),
          example: { success: true, data: { ...pendingExample, version: 2 } },
        },
      },
    ],
    errors: [
      "not_found",
      "not_a_dead_letter",
      "changed_meanwhile",
      "version_mismatch",
      "content_unreadable",
      "not_supported_yet",
    ],
  },
  {
    method: "POST",
    path: `${v1}/dead-letters/replay`,
    id: "replayDeadLetters",
    group: "Dead letters",
    summary: "Replay many dead letters",
    description:
      "Replays all that the filter finds, the oldest 100,000 at most, at `rate_per_minute` so that " +
      "a server that has just recovered is not flooded.",
    headers: ["Idempotency-Key"],
    body: bodyOf(replaysSchema, {
      name: "BulkReplay",
      words: {
        filter: "Which dead letters. At least one field, or `all: true`.",
        rate_per_minute: "How many of them are due in a minute. Default: all at once.",
        scheduled_at: "When the first of them is due. Default: now.",
        dry_run: "`true`: count them, change nothing.",
      },
      examples: {
        group: {
          summary: "What failed alike, slowly",
          value: { filter: { group: "q7Qx0b1m2N3p" }, rate_per_minute: 60 },
        },
        count: { summary: "Count all", value: { filter: { all: true }, dry_run: true } },
      },
    }),
    answers: [
      {
        status: 202,
        description: "How many were found and made pending.",
        body: {
          schema: dataOf(bulkReplayed),
          example: {
            success: true,
            data: { matched: 12, replayed: 12, bulk_id: emailId, warnings: [] },
          },
        },
        headers: ["Idempotent-Replayed"],
      },
    ],
  },
];

const dismissReasonWords = "Why, 1 to 500 characters on one line; it stands in the journal.";

const dismissing: readonly Operation[] = [
  {
    method: "POST",
    path: `${v1}/dead-letters/:id/dismiss`,
    id: "dismissDeadLetter",
    group: "Dead letters",
    summary: "Dismiss a dead letter",
    description:
      "Nobody has to decide about it any more: lists of dead letters, `doctor` and metrics leave it " +
      "out. It keeps its status and can be replayed all the same.",
    body: bodyOf(dismissSchema, {
      name: "Dismiss",
      isOptional: true,
      words: { reason: dismissReasonWords },
      examples: { reason: { summary: "With a reason", value: { reason: "sent by hand" } } },
    }),
    answers: [
      {
        status: 200,
        description: "The email, dismissed.",
        body: {
          schema: dataOf(emailStatus),
          example: {
            success: true,
            data: { ...failedExample, dismissed_at: "2030-01-04T10:00:00.000Z" },
          },
        },
      },
    ],
    errors: ["not_found", "not_a_dead_letter"],
  },
  {
    method: "POST",
    path: `${v1}/dead-letters/dismiss`,
    id: "dismissDeadLetters",
    group: "Dead letters",
    summary: "Dismiss many dead letters",
    description: "Dismisses all that the filter finds, the oldest 100,000 at most.",
    headers: ["Idempotency-Key"],
    body: bodyOf(dismissesSchema, {
      name: "BulkDismiss",
      words: {
        filter: "Which dead letters. At least one field, or `all: true`.",
        reason: dismissReasonWords,
        dry_run: "`true`: count them, change nothing.",
      },
      examples: {
        group: {
          summary: "What failed alike",
          value: { filter: { group: "q7Qx0b1m2N3p" }, reason: "a closed domain" },
        },
      },
    }),
    answers: [
      {
        status: 200,
        description: "How many were found and dismissed.",
        body: {
          schema: dataOf(bulkDismissed),
          example: {
            success: true,
            data: { matched: 12, dismissed: 12, bulk_id: emailId, warnings: [] },
          },
        },
        headers: ["Idempotent-Replayed"],
      },
    ],
  },
];

export const deadLetterOperations: readonly Operation[] = [...listingAndReplaying, ...dismissing];
