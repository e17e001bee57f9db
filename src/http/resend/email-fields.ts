import { z } from "zod";
import type { EmailDraft } from "../../email/email.ts";
import { parseAddress } from "../../email/parse-address.ts";
import { parseWhen } from "../../email/parse-when.ts";
import { AppError, type FieldFault, isAppError } from "../../errors.ts";
import { htmlForTextLengthMax } from "../../mail/text-from-html.ts";
import { isAllowed, type RuleContext } from "../request/email-rules.ts";
import { expecting, isPlainObject } from "../request/field-schemas.ts";
import { readFields } from "../request/read-fields.ts";
import { invalidContent, toDraft } from "../request/to-draft.ts";
import { attachmentsOf } from "./attachments.ts";
import { resendRefusal, unverifiedDomain } from "./failure.ts";

const addresses = z.union(
  [z.string(), z.array(z.string()).max(50)],
  expecting("an address, or a list of at most 50"),
);
const text = z.string(expecting("a text")).nullish();

const tag = z.strictObject({
  name: z
    .string(expecting("a name"))
    .regex(/^[\w-]{1,256}$/, expecting(tagWords("name")))
    .meta({ description: "Key of the metadata." }),
  value: z
    .string(expecting("a value"))
    .regex(/^[\w-]{1,256}$/, expecting(tagWords("value")))
    .meta({ description: "Its value." }),
});

function tagWords(part: string): string {
  return `a ${part} of 1 to 256 ASCII letters, digits, underscores and dashes`;
}

/** The fields of an email as Resend calls them; what they mean is what the native ones do. */
export const resendEmailSchema = z.strictObject({
  from: z.string(expecting("an address")),
  to: addresses,
  subject: z.string(expecting("a subject")),
  html: text,
  text,
  cc: addresses.nullish(),
  bcc: addresses.nullish(),
  reply_to: addresses.nullish(),
  headers: z.unknown().meta({ type: "object", additionalProperties: { type: "string" } }),
  tags: z.array(tag, expecting("a list of { name, value }")).nullish(),
  attachments: z
    .unknown()
    .meta({ type: ["array", "null"], items: { type: "object" }, maxItems: 20 }),
  scheduled_at: z.string(expecting("a time")).optional(),
  template: z.null(expecting("no template: they are not supported, render it first")).optional(),
  topic_id: z.null(expecting("no topic: they are not supported")).optional(),
});

export const resendUpdateSchema = z.strictObject({ scheduled_at: z.string(expecting("a time")) });

export interface ResendContext extends Omit<RuleContext, "pointer"> {
  /** Place within a batch, such as `/3`; empty: the body is the email. */
  pointer: string;
}

/** A draft of what a caller of Resend's SDK sent. Throws as `toDraft` does, in Resend's names. */
export function resendDraft(body: unknown, context: ResendContext): EmailDraft {
  const { now, pointer } = context;
  if (isPlainObject(body)) assertRequired(body);
  const { fields, faults } = readFields(body, resendEmailSchema, pointer);
  if (faults.length > 0) throw invalidContent(faults);
  const when = fields.scheduled_at === undefined ? null : parseWhen(fields.scheduled_at, now);
  if (when && "fault" in when) {
    throw invalidContent([{ pointer: `${pointer}/scheduled_at`, detail: when.fault }]);
  }
  assertVerified(fields.from ?? "", context);
  const native = {
    from: fields.from,
    recipients: listOf(fields.to),
    cc: listOf(fields.cc),
    bcc: listOf(fields.bcc),
    reply_to: listOf(fields.reply_to),
    subject: fields.subject,
    ...bodiesOf(fields.html ?? null, fields.text),
    headers: fields.headers ?? {},
    metadata: Object.fromEntries((fields.tags ?? []).map(({ name, value }) => [name, value])),
    attachments: attachmentsOf(fields.attachments, pointer),
    ...(when === null ? {} : { scheduled_at: when.value.toISOString() }),
  };
  try {
    return toDraft(native, context);
  } catch (error) {
    throw isAppError(error) ? renamed(error, pointer) : error;
  }
}

/** Resend's words for the fields that it asks for. */
function assertRequired(body: Record<string, unknown>): void {
  const isAbsent = (value: unknown) => value === undefined || value === null || value === "";
  const missing = ["from", "to", "subject"].find((name) => isAbsent(body[name]));
  if (missing !== undefined) {
    throw resendRefusal("missing_required_field", `Missing \`${missing}\` field.`);
  }
  const hasFile = Array.isArray(body.attachments) && body.attachments.length > 0;
  if (isAbsent(body.html) && isAbsent(body.text) && isAbsent(body.template) && !hasFile) {
    throw resendRefusal("missing_required_field", "Missing `html` or `text` field.");
  }
}

function assertVerified(from: string, { config }: ResendContext): void {
  const parsed = parseAddress(from);
  const { allowed } = config.sender;
  if ("fault" in parsed || allowed === null || isAllowed(parsed.value, allowed)) return;
  const domain = parsed.value.address.slice(parsed.value.address.lastIndexOf("@") + 1);
  throw new AppError("invalid_content", {
    publicDetail: `The ${domain} domain is not verified: SMTP_FROM_ALLOWED of this server does not permit it.`,
    reason: unverifiedDomain,
  });
}

function listOf(given: string | string[] | null | undefined): string[] {
  return typeof given === "string" ? [given] : (given ?? []);
}

/** Like Resend, a text part is made of the HTML unless there is one; an empty one: none. */
function bodiesOf(html: string | null, body: string | null | undefined): object {
  const isMade = body == null && html !== null && html !== "";
  const isShort = html !== null && html.length <= htmlForTextLengthMax;
  return { html_body: html, ...(isMade && isShort ? { text: "auto" } : { body: body ?? null }) };
}

const resendNamesOf: Readonly<Record<string, string>> = {
  recipients: "to",
  body: "text",
  html_body: "html",
  metadata: "tags",
};

/** The same faults at the places that the caller knows. */
function renamed(error: AppError, pointer: string): AppError {
  const faults = error.faults.map((fault) => rename(fault, pointer));
  const isFile = faults.some(({ pointer: place }) => place.startsWith(`${pointer}/attachments`));
  return new AppError(error.code, {
    publicDetail: error.publicDetail,
    cause: error,
    faults,
    ...(isFile ? { reason: "invalid_attachment" } : {}),
  });
}

function rename({ pointer, detail }: FieldFault, base: string): FieldFault {
  const [name = "", ...rest] = pointer.slice(base.length + 1).split("/");
  return { pointer: [base, resendNamesOf[name] ?? name, ...rest].join("/"), detail };
}
