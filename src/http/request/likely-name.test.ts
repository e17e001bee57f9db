import { expect, test } from "bun:test";
import { emailSchema } from "./email-schema.ts";
import { likelyHint, likelyName } from "./likely-name.ts";
import { filterParameters } from "./list-query.ts";

const fields = Object.keys(emailSchema.shape);

test.each([
  ["to", "recipients"],
  ["html", "html_body"],
  ["replyTo", "reply_to"],
  ["reply-to", "reply_to"],
  ["scheduledAt", "scheduled_at"],
  ["schedule_at", "scheduled_at"],
  ["send_at", "scheduled_at"],
  ["sheduled_at", "scheduled_at"],
  ["tag", "tags"],
  ["atachments", "attachments"],
  ["subjetc", "subject"],
])("among the fields of an email %s is likely %s", (name, likely) => {
  expect(likelyName(name, fields)).toBe(likely);
});

test.each([
  ["state", "status"],
  ["tags", "tag"],
  ["statuss", "status"],
])("among the filters of a list %s is likely %s", (name, likely) => {
  expect(likelyName(name, filterParameters)).toBe(likely);
});

test.each(["x", "colour", "__proto__", "constructor", "", "z".repeat(10_000)])(
  "%s is near to none, and nothing is said",
  (name) => {
    expect(likelyName(name, fields)).toBeNull();
    expect(likelyHint(name, fields)).toBe("");
  },
);
