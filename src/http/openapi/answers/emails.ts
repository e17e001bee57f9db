import { z } from "zod";
import { emailStates } from "../../../email/email.ts";
import { emailId } from "../parameters.ts";
import { eventFields } from "./events.ts";
import { instant, instantOrNull, text, uuid, whole } from "./fields.ts";

export const statusWords =
  "`pending`: waits for its time or its next attempt. `sending`: its message is on the way. " +
  "`sent`: the next hop took it. `partially_sent`: it took it for some recipients. `failed`: it " +
  "will not be tried again by itself. `uncertain`: the connection was lost before the reply came. " +
  "`held`: a person has to release it. `cancelled`, `expired`, `suppressed`: never sent.";

const status = z.enum(emailStates).meta({ description: statusWords });
const smtpCode = z.int().nullable().meta({ description: "SMTP code of the last reply." });
const enhancedCode = z.string().nullable().meta({
  description: "Enhanced status code of the reply (RFC 3463).",
});
const reply = z.string().nullable().meta({
  description: "What the server said; null when it said nothing, or the content was destroyed.",
});

export const attempt = z.object({
  number: z.int().min(1).meta({ description: "Counts from 1." }),
  started_at: instant("When the SMTP transaction began."),
  ended_at: instant("When it ended."),
  outcome: z
    .enum(["sent", "partial", "deferred", "bounced", "uncertain"])
    .meta({ description: "What it came to." }),
  smtp_code: smtpCode,
  enhanced_code: enhancedCode,
  reply,
  transport: text("The next hop, as `host:port`, or `capture`."),
  region: text("The region that sent it."),
});

export const recipient = z.object({
  address: z.string().nullable().meta({ description: "Null once the content is destroyed." }),
  kind: z.enum(["to", "cc", "bcc"]).meta({ description: "The line it stands on." }),
  status: z
    .enum(["pending", "sent", "deferred", "bounced", "suppressed"])
    .meta({ description: "What became of this recipient so far." }),
  smtp_code: smtpCode,
  enhanced_code: enhancedCode,
  reply,
});

const localTime = {
  local_time: text("As it was asked for; only when it was, and still holds.").optional(),
  timezone: text("Of `local_time`.").optional(),
  utc_offset: text("Of the zone at that instant, such as `+01:00`.").optional(),
  resolution: z
    .enum(["exact", "gap", "overlap"])
    .optional()
    .meta({ description: "Whether clocks skip `local_time` (gap) or show it twice (overlap)." }),
};

const listed = {
  ...localTime,
  id: uuid("Id of the email."),
  status,
  scheduled_at: instant("When it is, or was, due."),
  next_attempt_at: instantOrNull("When it will be tried next; null: it will not be."),
  sent_at: instantOrNull("When the next hop took it; null: it has not."),
  created_at: instant("When it was accepted."),
  subject: z.string().nullable().meta({ description: "Null once the content is destroyed." }),
  tags: z.array(z.string()).meta({ description: "As given." }),
  metadata: z.record(z.string(), z.unknown()).meta({ description: "As given." }),
  region: text("The region that sends it."),
  version: z.int().min(1).meta({ description: "Grows with every change; for `If-Match`." }),
  max_retries: whole("How often it is tried again at most."),
  dismissed_at: instant("When a person dismissed this dead letter; absent: nobody did.").optional(),
  recipients: z.array(recipient).meta({ description: "Every recipient, Bcc too." }),
  unreadable: z.literal(true).optional().meta({
    description:
      "The content is there but no key of the server opens it: what is null is not known.",
  }),
};

export const listedEmail = z.object(listed);
const attempts = z.array(attempt).meta({ description: "Every attempt so far, oldest first." });
export const emailStatus = z.object({
  ...listed,
  attempts,
  waiting_for: z
    .literal("transport")
    .optional()
    .meta({
      description:
        "For a pending email past its time, in `GET /api/v1/status/{id}`: nothing gets out of the " +
        "processes that send; `/health` says why. It goes out once the SMTP server is back.",
    }),
});

export const wholeEmail = z.object({
  ...listed,
  attempts,
  expires_at: instantOrNull("When it is too late to send it; null: never."),
  max_lateness: z.int().nullable().meta({ description: "Seconds it may be late; null: any." }),
  on_late: z
    .enum(["send", "drop", "hold"])
    .meta({ description: "What happens to it when it is too late." }),
  from: z.string().nullable().meta({ description: "The From line." }),
  reply_to: z
    .union([z.string(), z.array(z.string())])
    .nullable()
    .meta({ description: "Where answers go; a list when there are several addresses." }),
  body: z.string().nullable().meta({ description: "The text part." }),
  html_body: z.string().nullable().meta({ description: "The HTML part." }),
  raw: z
    .literal(true)
    .optional()
    .meta({ description: "It is a finished message: `/raw` has all of it." }),
  headers: z
    .record(z.string(), z.string())
    .nullable()
    .meta({ description: "Headers of your own." }),
  attachments: z
    .array(
      z.object({
        filename: text("As given."),
        content_type: text("Media type."),
        content_id: z.string().nullable().meta({ description: "For `cid:` links of the HTML." }),
        size_bytes: whole("Decoded."),
      }),
    )
    .nullable()
    .meta({ description: "Names and sizes; `/attachments/{n}` has the bytes." }),
});

export const acceptedEmail = z.object({
  id: uuid("Id of the email, for every other call."),
  status: z.literal("pending").meta({ description: "A new email is pending." }),
  scheduled_at: instant("When it is due, in UTC."),
  created_at: instant("When it was accepted."),
  version: z.literal(1).meta({ description: "The first." }),
  ...localTime,
});

export const dryRun = z.object({
  message: text("The message as it would go out, but for Message-ID, boundaries and Date."),
  size_bytes: whole("Of the message."),
  scheduled_at: instant("When it would be due."),
  ...localTime,
  warnings: z.array(z.string()).meta({
    description: "Warnings about values that are allowed and may not be meant, one sentence each.",
  }),
});

export const batchEntry = z.union([
  z.object({ index: whole("Place in the request, from 0."), id: uuid("Id of the new email.") }),
  z.object({
    index: whole("Place in the request, from 0."),
    error: z
      .object({
        code: text("As in a problem."),
        detail: text("The fault, in words for people."),
        errors: z
          .array(
            z.object({ pointer: text("JSON pointer."), detail: text("The fault of this field.") }),
          )
          .meta({ description: "Every faulty place." }),
      })
      .meta({ description: "Why it was not accepted; only with `mode: permissive`." }),
  }),
]);

export const timelineEvent = z.object({
  id: z.string().nullable().meta({
    description: "Its place in the journal; null for the moment before it has one.",
  }),
  ...eventFields,
  sequence: z.int().min(1).meta({ description: "Counts the email's events from 1." }),
  at: instant("When it happened."),
  actor: text("The actor: an owner, a key, or a worker."),
  action: text("What happened, such as `email.sent`."),
  detail: z.record(z.string(), z.unknown()).meta({ description: "Facts of this action." }),
});

export const statusExample = {
  id: emailId,
  status: "sent",
  scheduled_at: "2030-01-04T08:00:00.000Z",
  next_attempt_at: null,
  sent_at: "2030-01-04T08:00:00.412Z",
  created_at: "2030-01-02T14:31:07.120Z",
  subject: "Your order 8713",
  tags: ["orders"],
  metadata: { order: "8713" },
  region: "fra",
  version: 1,
  max_retries: 3,
  attempts: [
    {
      number: 1,
      started_at: "2030-01-04T08:00:00.021Z",
      ended_at: "2030-01-04T08:00:00.412Z",
      outcome: "sent",
      smtp_code: 250,
      enhanced_code: "2.0.0",
      reply: "OK queued as 4XyZ",
      transport: "smtp.example.com:587",
      region: "fra",
    },
  ],
  recipients: [
    {
      address: "ada@example.com",
      kind: "to",
      status: "sent",
      smtp_code: 250,
      enhanced_code: "2.1.5",
      reply: "OK",
    },
  ],
};

/** An email that nobody has tried yet. */
export const pendingExample = {
  ...statusExample,
  status: "pending",
  next_attempt_at: "2030-01-04T08:00:00.000Z",
  sent_at: null,
  attempts: [],
  recipients: statusExample.recipients.map((one) => ({
    ...one,
    status: "pending",
    smtp_code: null,
    enhanced_code: null,
    reply: null,
  })),
};

const { attempts: _, ...listedFields } = pendingExample;
export const listedExample = listedFields;

export const failedExample = {
  ...statusExample,
  status: "failed",
  sent_at: null,
  attempts: statusExample.attempts.map((one) => ({
    ...one,
    outcome: "bounced",
    smtp_code: 550,
    enhanced_code: "5.1.1",
    reply: "No such user here",
  })),
  recipients: statusExample.recipients.map((one) => ({
    ...one,
    status: "bounced",
    smtp_code: 550,
    enhanced_code: "5.1.1",
    reply: "No such user here",
  })),
};
