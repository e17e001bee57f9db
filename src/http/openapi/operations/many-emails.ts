import type { z } from "zod";
import { holdsSchema, releasesSchema, reschedulesSchema } from "../../request/bulk-fields.ts";
import { dataOf } from "../answers/fields.ts";
import { bulkHeld, bulkReleased, bulkRescheduled } from "../answers/work.ts";
import { type Answer, bodyOf, type Operation } from "../operation.ts";
import { emailId } from "../parameters.ts";
import { narrowingWords } from "./emails.ts";

const v1 = "/api/v1";
const words = { ...narrowingWords, dry_run: "`true`: count them, change nothing." };
const examples = {
  tag: { summary: "By tag", value: { tag: "newsletter" } },
  count: { summary: "Count only", value: { metadata: { campaign: "spring" }, dry_run: true } },
};
const limits =
  "The oldest 100,000 at most; at least one field of the filter is needed. To each email the same " +
  "happens as when it is changed alone; what is past it by then is left alone.";

function answersOf(description: string, schema: z.ZodType, done: string): [Answer] {
  const data = { matched: 214, [done]: 214, bulk_id: emailId, warnings: [] };
  const body = { schema: dataOf(schema), example: { success: true, data } };
  return [{ status: 200, description, body, headers: ["Idempotent-Replayed"] }];
}

/** Changes of many pending or held emails by one request. */
export const manyEmailsOperations: readonly Operation[] = [
  {
    method: "POST",
    path: `${v1}/hold`,
    id: "holdEmails",
    group: "Emails",
    summary: "Hold many emails",
    description: `Holds all pending emails that the filter finds. ${limits}`,
    headers: ["Idempotency-Key"],
    body: bodyOf(holdsSchema, { name: "BulkHold", words, examples }),
    answers: answersOf("How many were found and held.", bulkHeld, "held"),
  },
  {
    method: "POST",
    path: `${v1}/release`,
    id: "releaseEmails",
    group: "Emails",
    summary: "Release many held emails",
    description:
      "Releases all held emails that the filter finds, each at its own time, or now when that has " +
      `passed. ${limits}`,
    headers: ["Idempotency-Key"],
    body: bodyOf(releasesSchema, { name: "BulkRelease", words, examples }),
    answers: answersOf("How many were found and released.", bulkReleased, "released"),
  },
  {
    method: "POST",
    path: `${v1}/reschedule`,
    id: "rescheduleEmails",
    group: "Emails",
    summary: "Reschedule many emails",
    description:
      "Moves all pending and held emails that the filter finds to one time, or each by as many " +
      "seconds. What would be due more than 60 s ago, or after its `expires_at`, is not found. " +
      limits,
    headers: ["Idempotency-Key"],
    body: bodyOf(reschedulesSchema, {
      name: "BulkReschedule",
      words: {
        ...words,
        scheduled_at: "When all of them are due. Either this or `shift_seconds`.",
        shift_seconds: "How many seconds later each is due than it was; less than 0: earlier.",
      },
      examples: {
        hour: { summary: "An hour later", value: { tag: "newsletter", shift_seconds: 3600 } },
        moment: {
          summary: "To one time",
          value: { tag: "newsletter", scheduled_at: "2030-01-05T09:00:00Z" },
        },
      },
    }),
    answers: answersOf("How many were found and moved.", bulkRescheduled, "rescheduled"),
  },
];
