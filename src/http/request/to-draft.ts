import type { Address, EmailDraft, OnLate } from "../../email/email.ts";
import { quoteInput } from "../../email/quote-input.ts";
import type { ResolvedWallClock } from "../../email/wall-clock.ts";
import { AppError, type FieldFault } from "../../errors.ts";
import { htmlForTextLengthMax, textFromHtml } from "../../mail/text-from-html.ts";
import { draftFaults, isAllowed, isTooLarge, type RuleContext } from "./email-rules.ts";
import { type EmailFields, emailSchema } from "./email-schema.ts";
import { isPlainObject } from "./field-schemas.ts";
import { atLocalTime, readLocalTime } from "./local-time.ts";
import { readFields } from "./read-fields.ts";
import { unsupportedFaults } from "./unsupported-fields.ts";

/** `pointer` defaults to the whole body. */
export type DraftContext = Omit<RuleContext, "pointer"> & { pointer?: string };

export const maxAgeSecondsDefault = 345_600;

/**
 * A draft of what a caller sent, checked through and through. Throws `invalid_content` or
 * `not_supported_yet` with every fault there is, or `payload_too_large`.
 */
export function toDraft(body: unknown, context: DraftContext): EmailDraft {
  const { config, pointer = "" } = context;
  const isRaw = isPlainObject(body) && body.raw != null;
  const judged = isRaw ? withoutContent(body) : body;
  const { fields, faults } = readFields(judged, emailSchema, pointer);
  if (isRaw) faults.push(...rawFaults(fields, body, { ...context, pointer }));
  const unsupported = isPlainObject(body) ? unsupportedFaults(fields, pointer) : [];
  if (unsupported.length > 0) throw notSupported([...unsupported, ...faults]);
  faults.push(...madeTextFaults(fields, pointer));
  const local = readLocalTime(fields, pointer);
  faults.push(...local.faults);
  if (local.wallClock) fields.scheduled_at = local.wallClock.scheduledAt;
  if (isPlainObject(judged)) {
    const found = draftFaults(fields, judged, { ...context, pointer });
    faults.push(...(local.wallClock ? atLocalTime(found, pointer) : found));
  }
  if (faults.length > 0) throw invalidContent(faults);
  // Without faults every field has been read.
  const draft = assemble(fields as EmailFields, config, local.wallClock);
  if (isTooLarge(draft.attachments)) throw attachmentsTooLarge(pointer);
  return draft;
}

/** What a finished message holds already. */
const contentFields = [
  ...(["subject", "body", "html_body", "text", "attachments", "headers", "reply_to"] as const),
];

/** A body that stands for all content, so that what is not given is not missed. */
function withoutContent(body: Record<string, unknown>): Record<string, unknown> {
  const rest = Object.entries(body).filter(([name]) => !contentFields.includes(name as never));
  return { ...Object.fromEntries(rest), subject: "raw", body: "raw" };
}

function rawFaults(
  { raw }: Partial<EmailFields>,
  body: Record<string, unknown>,
  { config, pointer }: RuleContext,
): FieldFault[] {
  const { allowed } = config.sender;
  const strangers = (raw?.authors ?? []).filter((one) => allowed && !isAllowed(one, allowed));
  return [
    ...contentFields
      .filter((name) => body[name] != null)
      .map((name) => ({
        pointer: `${pointer}/${name}`,
        detail: `expected raw or ${name}, got both: the message holds it already`,
      })),
    ...strangers.map(({ address }) => ({
      pointer: `${pointer}/raw`,
      detail: `expected a message from a sender that SMTP_FROM_ALLOWED permits, got ${quoteInput(address)}`,
    })),
  ];
}

/** `text: "auto"` beside what it is made of. */
export function madeTextFaults(fields: Partial<EmailFields>, pointer: string): FieldFault[] {
  const { text, body, html_body: html } = fields;
  if (text !== "auto" || !("html_body" in fields)) return [];
  const place = `${pointer}/text`;
  if (body) return [{ pointer: place, detail: 'expected body or text: "auto", got both' }];
  if (!html) return [{ pointer: place, detail: 'expected html_body with text: "auto", got none' }];
  if (html.length <= htmlForTextLengthMax) return [];
  const detail = `expected html_body of at most ${htmlForTextLengthMax} characters with text: "auto", got ${html.length}`;
  return [{ pointer: place, detail }];
}

/** Null when there is nothing to read in it. */
export function madeText(html: string | null | undefined): string | null {
  return textFromHtml(html ?? "") || null;
}

function assemble(
  fields: EmailFields,
  config: DraftContext["config"],
  wallClock: ResolvedWallClock | null,
): EmailDraft {
  return {
    from: fields.from ?? defaultSender(config),
    replyTo: fields.reply_to ?? [],
    to: fields.recipients ?? [],
    cc: fields.cc ?? [],
    bcc: fields.bcc ?? [],
    subject: fields.raw ? fields.raw.subject : fields.subject,
    body: fields.raw
      ? null
      : fields.text === "auto"
        ? madeText(fields.html_body)
        : fields.body || null,
    htmlBody: fields.html_body || null,
    headers: fields.headers,
    attachments: fields.attachments ?? [],
    ...(fields.raw ? { raw: fields.raw.message } : {}),
    scheduledAt: fields.scheduled_at,
    ...(wallClock === null ? {} : { wallClock }),
    maxRetries: fields.max_retries ?? null,
    maxAgeSeconds: fields.max_age ?? maxAgeSecondsDefault,
    expiresAt: fields.expires_at,
    maxLatenessSeconds: fields.max_lateness ?? null,
    onLate: fields.on_late ?? onLateDefault(fields.expires_at, fields.max_lateness ?? null),
    onUncertain: fields.on_uncertain ?? "retry",
    tags: fields.tags ?? [],
    metadata: fields.metadata,
    region: fields.region ?? null,
  };
}

/** A caller who says when an email is too late wants it dropped then, unless they say otherwise. */
export function onLateDefault(expiresAt: Date | null, maxLatenessSeconds: number | null): OnLate {
  return expiresAt === null && maxLatenessSeconds === null ? "send" : "drop";
}

/** The rules have seen to it that there is one. */
export function defaultSender({ sender }: DraftContext["config"]): Address {
  return { address: sender.from ?? "", name: sender.fromName };
}

export function invalidContent(faults: FieldFault[]): AppError {
  return new AppError("invalid_content", { publicDetail: countedFaults(faults), faults });
}

export function notSupported(faults: FieldFault[]): AppError {
  return new AppError("not_supported_yet", {
    publicDetail: "The request asks for something that is not supported yet; see errors.",
    faults,
  });
}

/** The words stay general: they go into the log, the faults with their quotes do not. */
function countedFaults(faults: FieldFault[]): string {
  return faults.length === 1
    ? "One field is invalid; see errors."
    : `${faults.length} fields are invalid; see errors.`;
}

export function attachmentsTooLarge(pointer: string): AppError {
  return new AppError("payload_too_large", {
    publicDetail: "The attachments of an email are larger than 25 MB together.",
    faults: [
      {
        pointer: `${pointer}/attachments`,
        detail: "expected at most 25 MB (26214400 bytes) together, got more",
      },
    ],
  });
}
