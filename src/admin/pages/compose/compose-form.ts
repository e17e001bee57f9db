import type { ParsedMessage } from "../../parsed-message.ts";
import { instantOf } from "../local-time.ts";

/** What stands in the form, as it was typed. */
export interface ComposeFields {
  to: string;
  cc: string;
  bcc: string;
  from: string;
  subject: string;
  text: string;
  html: string;
  tags: string;
  /** `2027-03-28T09:00` in `zone`; empty: as soon as possible. */
  at: string;
  zone: string;
  /** The email whose attachments go along; empty: none. */
  copy: string;
  /** One for each opened form, so that two clicks make one email. */
  key: string;
}

export function emptyFields(zone: string): ComposeFields {
  const none = { to: "", cc: "", bcc: "", from: "", subject: "", text: "", html: "", tags: "" };
  return { ...none, at: "", zone, copy: "", key: crypto.randomUUID() };
}

/** Whatever a browser sends: what is no text is left empty. */
export function fieldsOf(form: Record<string, unknown>, zone: string): ComposeFields {
  const fields = emptyFields(zone);
  for (const name of Object.keys(fields) as (keyof ComposeFields)[]) {
    const value = form[name];
    // Forms end their lines as the mail does; texts of ours end them with LF.
    if (typeof value === "string") fields[name] = value.replaceAll("\r\n", "\n");
  }
  return fields;
}

/** A file that goes along, whether it was chosen now or comes from the email that was copied. */
export type FormAttachment = ParsedMessage["attachments"][number];

/** The files chosen in the form; a field that was left empty sends one without a name. */
export async function filesOf(form: Record<string, unknown>): Promise<FormAttachment[]> {
  const files = [form.files ?? []].flat().filter((file) => file instanceof File);
  const named = files.filter(({ name, size }) => Boolean(name) || size > 0);
  return await Promise.all(
    named.map(async (file) => ({
      filename: file.name || "attachment",
      contentType: file.type === "" ? "application/octet-stream" : file.type,
      contentId: null,
      content: await file.bytes(),
    })),
  );
}

/** Places of the attachments that stay; null: the form did not ask. */
export function keptOf(form: Record<string, unknown>): ReadonlySet<number> | null {
  if (form.asks_keep !== "true") return null;
  const places = [form.keep ?? []].flat().map(String);
  return new Set(places.filter((place) => /^\d{1,3}$/.test(place)).map(Number));
}

/** The body of POST /schedule-mail, or of PATCH: judged by the same rules, in the same words. */
export function bodyOf(fields: ComposeFields, attachments: readonly FormAttachment[] = []) {
  const { from, subject, text, html, at, zone } = fields;
  const instant = at === "" ? null : instantOf(at, zone);
  return {
    recipients: addressesOf(fields.to),
    cc: addressesOf(fields.cc),
    bcc: addressesOf(fields.bcc),
    subject,
    tags: fields.tags.split(/[\s,]+/).filter((tag) => tag !== ""),
    ...(from === "" ? {} : { from }),
    ...(text === "" ? {} : { body: text }),
    ...(html === "" ? {} : { html_body: html }),
    // A time that is none is refused in the words of the API.
    ...(at === "" ? {} : { scheduled_at: instant?.toISOString() ?? `${at} ${zone}` }),
    ...(attachments.length === 0 ? {} : { attachments: attachments.map(attachmentOf) }),
  };
}

/**
 * The body of a PATCH that makes the one email of the other: what was left as it was is left out, so
 * that a new time alone composes nothing.
 */
export function changesOf(fields: ComposeFields, before: ComposeFields): Record<string, unknown> {
  // Null is the default of a field that was emptied.
  const emptied = { body: null, html_body: null };
  const was: Record<string, unknown> = { ...emptied, ...bodyOf(before) };
  const is: Record<string, unknown> = { ...emptied, ...bodyOf(fields) };
  return Object.fromEntries(
    Object.entries(is).filter(([name, value]) => !Bun.deepEquals(value, was[name])),
  );
}

export function attachmentOf({ filename, contentType, contentId, content }: FormAttachment) {
  const id = contentId === null ? {} : { content_id: contentId };
  return { filename, contentType, content: Buffer.from(content).toString("base64"), ...id };
}

/** Parted by commas, semicolons or lines, but within quotes. */
function addressesOf(text: string): string[] {
  const parts = text.match(/(?:"[^"]*"|[^",;\n])+/g) ?? [];
  return parts.map((part) => part.trim()).filter((part) => part !== "");
}
