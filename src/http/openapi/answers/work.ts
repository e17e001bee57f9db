import { z } from "zod";
import { scopes } from "../../../auth/principal.ts";
import { emailStates } from "../../../email/email.ts";
import { emailId, keyId } from "../parameters.ts";
import { instant, instantOrNull, text, uuid, whole } from "./fields.ts";

/** What the people who run the service see: counts, health, pauses, keys, the journal. */

const warnings = z
  .array(z.string())
  .meta({ description: "What the caller should know, in words." });
const bulkId = z.string().nullable().meta({
  description: "Id of this request in the journal; null: nothing was changed.",
});
const matched = whole("Emails that the filter found.");

export const bulkCancelled = z.object({
  matched,
  cancelled: whole("Of them cancelled: nothing of these will ever be sent."),
  bulk_id: bulkId,
  warnings,
});
export const bulkReplayed = z.object({
  matched,
  replayed: whole("Of them pending again."),
  bulk_id: bulkId,
  warnings,
});

export const bulkHeld = z.object({
  matched,
  held: whole("Of them held: they wait for a release."),
  bulk_id: bulkId,
  warnings,
});
export const bulkReleased = z.object({
  matched,
  released: whole("Of them pending again."),
  bulk_id: bulkId,
  warnings,
});
export const bulkRescheduled = z.object({
  matched,
  rescheduled: whole("Of them due at another time by now."),
  bulk_id: bulkId,
  warnings,
});
export const bulkDismissed = z.object({
  matched,
  dismissed: whole("Of them dismissed."),
  bulk_id: bulkId,
  warnings,
});

export const owner = z.object({
  owner: text("Whose emails: the `sub` of their tokens."),
  usage: z
    .object({
      accepted_today: whole("Emails accepted since midnight UTC."),
      pending: whole("Emails that wait to be sent."),
    })
    .meta({ description: "What counts against the quotas." }),
  quotas: z
    .object({
      emails_per_day: z.int().nullable().meta({ description: "`QUOTA_EMAILS_PER_DAY`." }),
      pending: z.int().nullable().meta({ description: "`QUOTA_PENDING`." }),
    })
    .meta({ description: "Null: as many as they like." }),
  last_activity_at: instantOrNull("When the journal last heard of them; a second or two late."),
});

export const cancelled = z.object({
  id: uuid("Id of the email."),
  status: z.literal("cancelled").meta({ description: "It will never be sent." }),
});

export const shredded = z.object({
  id: uuid("Id of the email."),
  status: z.enum(emailStates).meta({ description: "As before: the status stays." }),
  content: z.literal("destroyed").meta({ description: "Nobody can read it any more." }),
});

export const testResult = z.object({
  id: uuid("Id of the email: it is one like all others."),
  status: z.enum(emailStates).meta({ description: "As it stood at the time of the answer." }),
  smtp_code: z.int().nullable().meta({ description: "Of the server's reply." }),
  reply: z.string().nullable().meta({ description: "What the server said." }),
  transport: z.string().nullable().meta({ description: "The next hop, as `host:port`." }),
  duration_ms: whole("From the request to the answer."),
  advice: text("What it means and what to do, in words."),
});

export const pause = z.object({
  kind: z.enum(["region", "owner", "database"]).meta({
    description:
      "The scope of the pause; `database`: all sending, since it was restored or copied.",
  }),
  name: text("Of the region, id of the owner, or `restored`."),
  paused_at: instant("Since when."),
  paused_by: text("The person or part that paused it."),
  reason: text("Why."),
});

export const resumed = z.object({
  kind: z.enum(["region", "owner", "database"]).meta({ description: "What goes on." }),
  name: text("Of the region, id of the owner, or `restored`."),
  was_paused: z.boolean().meta({ description: "Whether there was a pause to end." }),
  held: whole("Of `restored`: emails that are held for a decision now.").optional(),
});

const counts = Object.fromEntries(emailStates.map((state) => [state, whole(`Emails ${state}.`)]));
export const queueStats = z.object({
  waiting: whole("Pending emails that are due."),
  active: whole("Emails being sent."),
  delayed: whole("Pending emails that are due later."),
  completed: whole("Sent and partially sent emails."),
  failed: whole("Failed and uncertain emails."),
  paused: whole("Held emails."),
  sending_paused: z.array(pause).meta({ description: "What keeps these emails from being sent." }),
  workers: whole("Worker processes that are alive."),
  oldest_due_ms: z.number().nullable().meta({
    description: "For how long the oldest due email has been waiting; null: none is.",
  }),
  by_status: z.object(counts).meta({ description: "Emails by their status." }),
});

const failure = {
  smtp_code: z.int().nullable().meta({ description: "Of the last reply." }),
  enhanced_code: z.string().nullable().meta({ description: "Of the last reply (RFC 3463)." }),
  reply: z
    .string()
    .nullable()
    .meta({ description: "The reply of one email of the group, as the server sent it." }),
};
export const deadLetterGroup = z.object({
  group: text("Its name, for `group` of the list and of a replay."),
  count: whole("Emails in it."),
  by_status: z
    .record(z.string(), z.int())
    .meta({ description: "How many of them are failed, uncertain, held, partially sent." }),
  ...failure,
  reply_pattern: z.string().nullable().meta({ description: "The reply without what varies." }),
  domain: z.string().nullable().meta({ description: "Of the recipients that it concerns." }),
  first_at: instant("Of the first of them."),
  last_at: instant("Of the last of them."),
  sample_email_id: uuid("Id of one of them."),
});

export const auditEntry = z.object({
  position: z.int().min(1).meta({ description: "Among everybody's entries." }),
  number: z.int().min(1).meta({ description: "Among the owner's entries, without a gap." }),
  at: text("When it happened: RFC 3339, UTC, microseconds."),
  owner_id: text("Whose chain it is in."),
  actor: text("The actor: an owner, or a part of the program."),
  origin: z.string().nullable().meta({ description: "From which network address." }),
  action: text("The action, such as `email.sent`."),
  email_id: z.string().nullable().meta({ description: "About which email.", format: "uuid" }),
  sequence: z.int().nullable().meta({ description: "Among the events of this email, from 1." }),
  detail: z.record(z.string(), z.unknown()).meta({ description: "Facts of this action." }),
  hash: text("SHA-256 over the entry before it and this one, in hex."),
});

export const verdict = z.object({
  ok: z.boolean().meta({ description: "Whether no entry was changed, removed or added." }),
  checked: whole("Entries that were recomputed."),
  first_broken: z.int().nullable().meta({ description: "Number of the first broken entry." }),
  owner_id: z.string().nullable().optional().meta({ description: "Whose entry is broken." }),
  position: z.int().nullable().optional().meta({ description: "Of the broken entry." }),
  reason: z.string().optional().meta({ description: "How it is broken, in one word." }),
  verified_from: whole("Position of the oldest entry that is kept; absent: the first.").optional(),
  dropped_at: instantOrNull(
    "When what was before was dropped; null: of one owner's chain.",
  ).optional(),
  dropped_checkpoint: z
    .int()
    .nullable()
    .optional()
    .meta({ description: "Position of the checkpoint that vouches for it; null: as above." }),
  checkpoints: whole("Of everybody's chains: stored checkpoints that agree.").optional(),
});

export const checkpoint = z.object({
  type: z.literal("taskforce-mailer/checkpoint/v1").meta({ description: "What this is." }),
  at: text("As of when: RFC 3339, UTC, microseconds."),
  owner_id: z.string().nullable().meta({ description: "Whose chain; null: everybody's." }),
  position: whole("Of the newest entry; 0: there is none."),
  chains: whole("How many owners have entries."),
  root: text("SHA-256 over the heads of all chains, in hex."),
  key: text("Public Ed25519 key, base64."),
  signature: text("Ed25519 signature, base64."),
});

const apiKeyFields = {
  id: uuid("Id of the key."),
  owner: text("For whom it acts."),
  name: text("As given."),
  prefix: text("How the key begins, to tell it from others."),
  scopes: z.array(z.enum(scopes)).meta({ description: "What it may do." }),
  created_at: instant("When it was made."),
  expires_at: instantOrNull("From when it counts no more; null: never."),
  last_used_at: instantOrNull("When it was last used; null: never."),
  revoked_at: instantOrNull("When it was revoked; null: it counts."),
  made_by: uuid("")
    .nullable()
    .meta({ description: "The API key that made it, with which it ends; null: a person did." }),
};
export const apiKey = z.object(apiKeyFields);
export const newApiKey = z.object({
  ...apiKeyFields,
  key: text("The key itself: shown this once, and kept nowhere."),
});

export const signingKey = z.object({
  kid: text("Id of the key."),
  algorithm: z.string().nullable().meta({ description: "Null: the key set has it no more." }),
  dropped_at: instantOrNull("Since when no token of it counts; null: they do."),
});

export const droppedKey = z.object({
  kid: text("Id of the key."),
  status: z.literal("dropped").meta({ description: "No token signed with it counts any more." }),
});

export const check = z.object({
  check: text("The part that was checked."),
  status: z.enum(["ok", "warning", "failed"]).meta({ description: "How it is." }),
  saw: text("The observation, in one sentence."),
  advice: z.string().nullable().meta({ description: "What to do; null: nothing." }),
});

export const round = z.object({
  dead_workers: whole("Processes found dead."),
  taken_over: whole("Emails of theirs that are pending again."),
  orphans_settled: whole("Emails of theirs whose outcome is uncertain now."),
  poison_held: whole("Emails held because every worker that tried them died."),
});

export const erased = z.object({
  erased: whole("Emails whose content was destroyed now, or would be."),
  not_finished: whole("Emails to this person that may still be sent, and were left alone."),
  dry_run: z.boolean().meta({ description: "Whether nothing was destroyed." }),
});

export const databaseCopy = z.object({
  folder: text("Name of the copy's folder in `DATA_DIR`."),
  size_bytes: whole("Of all its files."),
  held_ms: whole("For how long nothing else could use the database."),
});

const healthStatus = z
  .enum(["ok", "degraded", "down"])
  .meta({ description: "`degraded`: it works, but somebody should look. `down`: it does not." });
const component = z
  .looseObject({ status: healthStatus })
  .meta({ description: "How this part is; further fields say more, in words." });
export const health = z.object({
  status: healthStatus,
  components: z.record(z.string(), component).meta({ description: "By the part's name." }),
});
export const live = z.object({ status: z.literal("ok").meta({ description: "It answers." }) });
export const ready = z.object({
  status: healthStatus,
  reason: z.string().optional().meta({ description: "Why nothing is taken." }),
});

export const auditExample = {
  position: 1042,
  number: 17,
  at: "2030-01-04T08:00:00.412345Z",
  owner_id: "ada",
  actor: "taskforce-mailer:worker:fra",
  origin: null,
  action: "email.sent",
  email_id: emailId,
  sequence: 4,
  detail: { attempt: 1, smtp_code: 250 },
  hash: "9f2d4e5b0c7a6d1e8f3b2a4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f80",
};

export const apiKeyExample = {
  id: keyId,
  owner: "ada",
  name: "shop backend",
  prefix: "tfm_Ab3dEf",
  scopes: ["send", "read"],
  created_at: "2030-01-02T14:31:07.120Z",
  expires_at: null,
  last_used_at: null,
  revoked_at: null,
  made_by: null,
};

export const endedSessions = z.object({
  owner: z.string().nullable().meta({ description: "Whose; null: everybody's." }),
  ended: whole("How many."),
});
export const endedTokens = z.object({
  sub: text("Whose."),
  not_before: instant("A token counts that was issued then or later."),
  sessions_ended: whole("Sessions of the console that ended with them."),
});

export const pauseExample = {
  kind: "region",
  name: "fra",
  paused_at: "2030-01-04T08:00:00.000Z",
  paused_by: "ada",
  reason: "the provider is being changed",
};
