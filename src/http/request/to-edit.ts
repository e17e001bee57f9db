import type { CurrentEmail } from "../../content/current-email.ts";
import type { EmailEdit } from "../../email/email-edit.ts";
import { quoteInput } from "../../email/quote-input.ts";
import { maxRetriesDefault } from "../../email/retry-schedule.ts";
import type { FieldFault } from "../../errors.ts";
import { editRecipients } from "./edit-recipients.ts";
import { editTimes } from "./edit-times.ts";
import { draftFaults, isTooLarge, type RuleContext } from "./email-rules.ts";
import { type EmailFields, emailSchema } from "./email-schema.ts";
import { isPlainObject } from "./field-schemas.ts";
import { atLocalTime, readLocalTime } from "./local-time.ts";
import { readFields } from "./read-fields.ts";
import {
  attachmentsTooLarge,
  defaultSender,
  invalidContent,
  madeText,
  madeTextFaults,
  maxAgeSecondsDefault,
  notSupported,
} from "./to-draft.ts";
import { unsupportedFaults } from "./unsupported-fields.ts";

/** Any field of an email; what is left out stays as it is. */
export const editSchema = emailSchema.partial();

export interface EditContext extends Omit<RuleContext, "pointer"> {
  /** A person's replay lifts an end that has passed; an edit must change it. */
  isReplay: boolean;
}

/** Which fields a body names, for the journal; an unknown one is found at fault by `toEdit`. */
export function editedFields(body: unknown): string[] {
  return isPlainObject(body) ? Object.keys(body).sort() : ["body"];
}

/**
 * What a body changes about the email that is there, checked together with what stays. Null in a
 * field means its default, as when scheduling. Throws as `toDraft` does.
 */
export function toEdit(body: unknown, current: CurrentEmail, context: EditContext): EmailEdit {
  const { fields: read, faults } = readFields(body, editSchema);
  const given = isPlainObject(body) ? onlyNamed(read, body) : {};
  const unsupported = [...unsupportedFaults(given, ""), ...movedFaults(given, current)];
  if (unsupported.length > 0) throw notSupported([...unsupported, ...faults]);
  faults.push(...finishedFaults(given, body, current));
  const local = readLocalTime(read, "");
  faults.push(...local.faults);
  if (local.wallClock) given.scheduled_at = local.wallClock.scheduledAt;
  const times = editTimes(given, current, context);
  if (local.wallClock) times.edit.wallClock = local.wallClock;
  const { lists, fault } = editRecipients(given, current);
  if (isPlainObject(body)) faults.push(...contentFaults(given, body, current, context));
  const timeFaults = local.wallClock ? atLocalTime(times.faults, "") : times.faults;
  faults.push(...timeFaults, ...fault, ...textFaults(given, current));
  if (faults.length > 0) throw invalidContent(faults);
  if (isTooLarge(given.attachments ?? [])) throw attachmentsTooLarge("");
  return {
    ...times.edit,
    ...(lists ? { recipients: lists } : {}),
    ...contentEdit(given, current, context),
    ...policyEdit(given),
  };
}

/** An email stays in the region whose dispatchers may have claimed it already. */
function movedFaults({ region }: Given, { email }: CurrentEmail): FieldFault[] {
  if (region == null || region === email.region) return [];
  const detail = `expected "${email.region}", where this email is, got ${quoteInput(region)}`;
  return [{ pointer: "/region", detail }];
}

const sealed = [
  ...(["recipients", "cc", "bcc", "from", "reply_to", "subject", "body", "html_body"] as const),
  ...(["text", "attachments", "headers"] as const),
];

/** What an edit cannot ask for, and what it cannot change about a finished message. */
function finishedFaults(given: Given, body: unknown, { details }: CurrentEmail): FieldFault[] {
  const faults: FieldFault[] = [];
  if (given.raw) {
    const detail = "expected no raw in an edit, got one: cancel the email and schedule another";
    faults.push({ pointer: "/raw", detail });
  }
  if (given.individual === true) {
    const detail = "expected no individual in an edit, got true: this is one email already";
    faults.push({ pointer: "/individual", detail });
  }
  if (!details.isRaw || !isPlainObject(body)) return faults;
  const changed = sealed.filter((name) => Object.hasOwn(body, name));
  const detail =
    "expected no change of a finished message (raw), got one: cancel the email and schedule another";
  return [...faults, ...changed.map((name) => ({ pointer: `/${name}`, detail }))];
}

type Given = Partial<EmailFields>;

/** The schema fills in what is absent; here that means: unchanged. */
function onlyNamed(fields: object, body: Record<string, unknown>): Given {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => Object.hasOwn(body, name)));
}

/** The rules of a new email, over what would be there; its times have rules of their own. */
function contentFaults(
  given: Given,
  body: Record<string, unknown>,
  { draft, details }: CurrentEmail,
  context: EditContext,
): FieldFault[] {
  const lists = ["recipients", "cc", "bcc"].some((name) => Object.hasOwn(body, name))
    ? {
        recipients: draft.to,
        cc: draft.cc,
        bcc: draft.bcc,
        ...pick(given, ["recipients", "cc", "bcc"]),
      }
    : {};
  const merged = { ...lists, ...pick(given, ["from", "headers"]) };
  for (const name of ["recipients", "cc", "bcc"] as const) {
    // At fault already: what stays must not be judged in its place.
    if (Object.hasOwn(body, name) && !(name in given)) delete merged[name as never];
  }
  const texts = {
    body: draft.body,
    html_body: draft.htmlBody,
    attachments: details.attachments,
    // A finished message stands for all of them.
    ...(details.isRaw ? { body: "raw" } : {}),
    ...pick(body, ["body", "html_body", "attachments"]),
  };
  return draftFaults(merged, texts, { ...context, pointer: "" });
}

function pick<T extends object, K extends string>(from: T, names: readonly K[]) {
  const entries = Object.entries(from).filter(([name]) => names.includes(name as K));
  return Object.fromEntries(entries) as Partial<Pick<T, K & keyof T>>;
}

function htmlOf(given: Given, { draft }: CurrentEmail): string | null {
  return "html_body" in given ? (given.html_body ?? null) : draft.htmlBody;
}

function textFaults(given: Given, current: CurrentEmail): FieldFault[] {
  return madeTextFaults({ ...given, html_body: htmlOf(given, current) }, "");
}

/** Absent when nothing of the message changes, so that nothing is composed. */
function contentEdit(
  given: Given,
  current: CurrentEmail,
  { config }: EditContext,
): Pick<EmailEdit, "content"> {
  const content: EmailEdit["content"] = {};
  if ("from" in given) content.from = given.from ?? defaultSender(config);
  if ("reply_to" in given) content.replyTo = given.reply_to ?? [];
  if (given.subject !== undefined) content.subject = given.subject;
  if ("body" in given) content.body = given.body || null;
  if (given.text === "auto") content.body = madeText(htmlOf(given, current));
  if ("html_body" in given) content.htmlBody = given.html_body || null;
  if ("headers" in given) content.headers = given.headers ?? {};
  if ("attachments" in given) content.attachments = given.attachments ?? [];
  return Object.keys(content).length > 0 ? { content } : {};
}

function policyEdit(given: Given): EmailEdit {
  const edit: EmailEdit = {};
  if ("max_retries" in given) edit.maxRetries = given.max_retries ?? maxRetriesDefault;
  if ("max_age" in given) edit.maxAgeSeconds = given.max_age ?? maxAgeSecondsDefault;
  if ("on_uncertain" in given) edit.onUncertain = given.on_uncertain ?? "retry";
  if ("tags" in given) edit.tags = given.tags ?? [];
  if ("metadata" in given) edit.metadata = given.metadata ?? {};
  return edit;
}
