import type { scopes } from "../../auth/principal.ts";
import { emailStates } from "../../email/email.ts";
import { deadLetterStates } from "../../email/states.ts";
import { limitDefault, limitMax, offsetMax } from "../request/list-query.ts";
import type { HeaderName, Parameter } from "./operation.ts";

/** Of the email in most examples; `Bun.randomUUIDv7` makes such ids. */
export const emailId = "01977c3e-5b1e-7cc0-9d5f-3f1c2b7a8e10";
export const keyId = "01977c3e-6a2f-7d10-8e4a-5c0d9b1f2a33";

const uuid = { type: "string", format: "uuid" };
const time = { type: "string", format: "date-time" };

const stateNames = [...emailStates, "deferred"].join("|");

/** Of paths. */
export const pathParameters: Readonly<Record<string, Parameter>> = {
  id: { description: "Id of the email.", schema: uuid, example: emailId },
  n: {
    description: "Number of the attachment, from 0, in the order of the request.",
    schema: { type: "integer", minimum: 0, maximum: 19 },
    example: 0,
  },
  kid: {
    description: "`kid` of the signing key, as `GET /api/v1/signing-keys` lists it.",
    schema: { type: "string", maxLength: 255 },
    example: "2027-key-1",
  },
};

/** Of queries; `metadata.*` stands for every name that begins so. */
export const queryParameters: Readonly<Record<string, Parameter>> = {
  dry_run: {
    description: "`true`: check and compose the email, answer with the message, store nothing.",
    schema: { type: "string", enum: ["true", "false"], default: "false" },
    example: "false",
  },
  limit: {
    description: "How many entries a page has.",
    schema: { type: "integer", minimum: 1, maximum: limitMax, default: limitDefault },
    example: 20,
  },
  offset: {
    description:
      "How many entries to skip, newest first. Not together with `cursor`, which stays exact " +
      "while entries are added.",
    schema: { type: "integer", minimum: 0, maximum: offsetMax, default: 0 },
    example: 0,
  },
  cursor: {
    description: "`page.next_cursor` of the answer before: the next page.",
    schema: { type: "string", minLength: 1, maxLength: 200 },
    example: Buffer.from(JSON.stringify(["2030-01-02 03:04:05.678901+00", emailId])).toString(
      "base64url",
    ),
  },
  status: {
    description:
      "Emails in this state only, or in one of several, separated by commas. `deferred` is no " +
      "state: it finds pending emails that have been tried before.",
    schema: { type: "string", pattern: `^(${stateNames})(,(${stateNames}))*$` },
    example: "pending,failed",
  },
  tag: {
    description: "Emails that carry this tag.",
    schema: { type: "string" },
    example: "newsletter",
  },
  "metadata.*": {
    description:
      "`metadata.<key>=<value>`: emails whose metadata hold this value at this key, compared as " +
      "text. May be given for several keys; all of them must hold.",
    schema: {
      type: "object",
      patternProperties: { "^metadata\\.": { type: "string" } },
      additionalProperties: false,
    },
    example: { "metadata.order": "8713" },
  },
  recipient: {
    description: "Emails to this address: in To, Cc or Bcc.",
    schema: { type: "string", minLength: 3, maxLength: 320 },
    example: "ada@example.com",
  },
  scheduled_after: {
    description: "Emails due at this time or later (RFC 3339 with offset or Z).",
    schema: time,
    example: "2030-01-01T00:00:00Z",
  },
  scheduled_before: {
    description: "Emails due before this time.",
    schema: time,
    example: "2030-02-01T00:00:00Z",
  },
  updated_after: {
    description:
      "Emails that something happened to at this time or later: accepted, changed, tried, ended. " +
      "Ask again from a few seconds before your last request, so that nothing is missed.",
    schema: time,
    example: "2030-01-01T00:00:00Z",
  },
  owner: {
    description: "The owner to list. Only an admin may ask for another owner's.",
    schema: { type: "string", minLength: 1, maxLength: 255 },
    example: "ada",
  },
  sort: {
    description:
      "`-created_at`: newest first. `scheduled_at`: the earliest due first; a `cursor` of one " +
      "order is none in the other.",
    schema: { type: "string", enum: ["-created_at", "scheduled_at"], default: "-created_at" },
    example: "-created_at",
  },
  group: {
    description: "Dead letters of this group, as `GET /api/v1/dead-letters/groups` names it.",
    schema: { type: "string", pattern: "^[\\w-]{1,64}$" },
    example: "held",
  },
  smtp_code: {
    description: "Dead letters whose last reply had this SMTP code.",
    schema: { type: "integer", minimum: 200, maximum: 599 },
    example: 550,
  },
  email_id: {
    description: "Entries about this email.",
    schema: uuid,
    example: emailId,
  },
  action: {
    description: "Entries of this action, such as `email.sent`.",
    schema: { type: "string", pattern: "^[a-z_]{1,40}\\.[a-z_]{1,40}$" },
    example: "email.sent",
  },
  actor: {
    description: "Entries of what this actor did.",
    schema: { type: "string", minLength: 1, maxLength: 255 },
    example: "ada",
  },
  owner_id: {
    description: "Entries of this owner's chain. Only an admin may ask for another owner's.",
    schema: { type: "string", minLength: 1, maxLength: 255 },
    example: "ada",
  },
  after: {
    description: "Entries made at this time or later.",
    schema: time,
    example: "2030-01-01T00:00:00Z",
  },
  before: {
    description: "Entries made before this time.",
    schema: time,
    example: "2030-02-01T00:00:00Z",
  },
};

export const requestHeaders: Readonly<Record<HeaderName, Parameter>> = {
  "Idempotency-Key": {
    description:
      "A value of your own choosing, a new one for each thing you mean to happen once. The same " +
      "key with the same body gets the first answer again, with `Idempotent-Replayed: true`; with " +
      "another body it is refused. Kept until a day after the last email it made has ended.",
    schema: { type: "string", pattern: "^[\\x21-\\x7e]{1,255}$" },
    example: "order-8713-confirmation",
  },
  "If-Match": {
    description:
      "The version you have read, in double quotes. When the email has another one by now, " +
      "nothing is changed and the answer is 412.",
    schema: { type: "string" },
    example: '"1"',
  },
  Accept: {
    description: "The media type of the answer; see there.",
    schema: { type: "string" },
    example: "application/json",
  },
};

export const responseHeaders: Readonly<
  Record<string, { description: string; schema: Record<string, unknown> }>
> = {
  "X-Request-Id": {
    description: "Of this request, as the log has it: yours when you sent one.",
    schema: { type: "string" },
  },
  "Read-From": {
    description:
      "Only where there is a read replica: `replica`, or `primary` with the reason, such as " +
      "`primary; reason=lag`.",
    schema: { type: "string", pattern: "^(replica|primary; reason=[a-z-]+)$" },
  },
  "Idempotent-Replayed": {
    description: "`true`: an earlier answer to the same Idempotency-Key, nothing was done now.",
    schema: { type: "string", const: "true" },
  },
  "Content-Disposition": {
    description: "Name to save it under.",
    schema: { type: "string" },
  },
  "Retry-After": {
    description: "Seconds after which it is worth asking again.",
    schema: { type: "string", pattern: "^\\d+$" },
  },
  "WWW-Authenticate": {
    description: "What kind of credential is expected (RFC 6750).",
    schema: { type: "string" },
  },
  "RateLimit-Limit": {
    description: "Requests of this kind that the credential has in a minute.",
    schema: { type: "string", pattern: "^\\d+$" },
  },
  "RateLimit-Remaining": {
    description: "How many of them are left.",
    schema: { type: "string", pattern: "^\\d+$" },
  },
  "RateLimit-Reset": {
    description: "Seconds until the minute is over.",
    schema: { type: "string", pattern: "^\\d+$" },
  },
};

/** Words for what a credential must have. */
export const scopeWords: Readonly<Record<(typeof scopes)[number], string>> = {
  send: "accept, change and cancel emails",
  read: "read emails, lists and the journal",
  admin: "everything, of everybody",
};
export const deadLetterWords = deadLetterStates.join(", ");
