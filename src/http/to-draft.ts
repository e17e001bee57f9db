import type { Address, EmailDraft, OnLate } from "../email/email.ts";
import { AppError, type FieldFault } from "../errors.ts";
import { draftFaults, isTooLarge, type RuleContext } from "./email-rules.ts";
import { type EmailFields, emailSchema } from "./email-schema.ts";
import { isPlainObject } from "./field-schemas.ts";
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
  const { fields, faults } = readFields(body, emailSchema, pointer);
  const unsupported = isPlainObject(body) ? unsupportedFaults(fields, pointer) : [];
  if (unsupported.length > 0) throw notSupported([...unsupported, ...faults]);
  if (isPlainObject(body)) faults.push(...draftFaults(fields, body, { ...context, pointer }));
  if (faults.length > 0) throw invalidContent(faults);
  // Without faults every field has been read.
  const draft = assemble(fields as EmailFields, config);
  if (isTooLarge(draft.attachments)) throw attachmentsTooLarge(pointer);
  return draft;
}

function assemble(fields: EmailFields, config: DraftContext["config"]): EmailDraft {
  return {
    from: fields.from ?? defaultSender(config),
    replyTo: fields.reply_to ?? null,
    to: fields.recipients ?? [],
    cc: fields.cc ?? [],
    bcc: fields.bcc ?? [],
    subject: fields.subject,
    body: fields.body || null,
    htmlBody: fields.html_body || null,
    headers: fields.headers,
    attachments: fields.attachments ?? [],
    scheduledAt: fields.scheduled_at,
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

/** Who says when an email is too late wants it dropped then, unless they say otherwise. */
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
    ? "One place of the request is at fault; see errors."
    : `${faults.length} places of the request are at fault; see errors.`;
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
