import type { Config } from "../../config.ts";
import type { Address, Attachment } from "../../email/email.ts";
import { pastFault } from "../../email/parse-time.ts";
import { isNamedBy, providerCommand } from "../../email/provider-headers.ts";
import { quoteInput } from "../../email/quote-input.ts";
import type { FieldFault } from "../../errors.ts";
import type { EmailFields } from "./email-schema.ts";
import { pointerTo } from "./json-pointer.ts";

/** Valid fields of one email; what is absent was left out, or is at fault already. */
type SomeFields = Partial<EmailFields>;

export interface RuleContext {
  config: Pick<Config, "region" | "sender">;
  now: Date;
  /** Regions the database has heard of, beside our own. Default: none. */
  regions?: readonly string[];
  /** Where the email stands in the body, such as `/emails/3`; empty: it is the body. */
  pointer: string;
}

export const recipientsMax = 50;
const attachmentBytesMax = 25 * 1024 * 1024;

/** Faults of fields that are fine by themselves. `body` is the object they came in. */
export function draftFaults(
  fields: SomeFields,
  body: Record<string, unknown>,
  context: RuleContext,
): FieldFault[] {
  const { pointer } = context;
  return [
    ...individualFaults(fields, pointer),
    ...recipientFaults(fields, pointer),
    ...contentFaults(body, pointer),
    ...senderFaults(fields, context),
    ...headerFaults(fields, context),
    ...timeFaults(fields, context),
    ...regionFaults(fields, context),
  ];
}

export function isTooLarge(attachments: Attachment[]): boolean {
  return attachments.reduce((sum, { content }) => sum + content.length, 0) > attachmentBytesMax;
}

/** Each is alone with its email: nobody is in copy. */
function individualFaults({ individual, cc, bcc }: SomeFields, pointer: string): FieldFault[] {
  if (individual !== true) return [];
  const copies = Object.entries({ cc, bcc }).filter(([, list]) => (list ?? []).length > 0);
  return copies.map(([name]) => ({
    pointer: `${pointer}/${name}`,
    detail: "expected all addresses in recipients with individual: true, got some here",
  }));
}

function recipientFaults(fields: SomeFields, pointer: string): FieldFault[] {
  const lists = { recipients: fields.recipients, cc: fields.cc, bcc: fields.bcc };
  const places = Object.entries(lists).flatMap(([name, list]) =>
    (list ?? []).map(({ address }, index) => ({ address, place: `${pointer}/${name}/${index}` })),
  );
  // A list that is at fault may hold what is missing here.
  const areAllRead = ["recipients", "cc", "bcc"].every((name) => name in fields);
  if (areAllRead && (places.length === 0 || places.length > recipientsMax)) {
    const detail = `expected 1 to ${recipientsMax} addresses in recipients, cc and bcc together, got ${places.length}`;
    return [{ pointer: `${pointer}/recipients`, detail }];
  }
  const firstPlaces = new Map<string, string>();
  return places.flatMap(({ address, place }) => {
    // Of two spellings that differ in letter case only, both go to one person.
    const key = address.toLowerCase();
    const first = firstPlaces.get(key);
    if (first === undefined) firstPlaces.set(key, place);
    const detail = `expected each address once, got ${quoteInput(address)} which stands at ${first} too`;
    return first === undefined ? [] : [{ pointer: place, detail }];
  });
}

/** An email that is only a file, such as a scan, needs no text. */
function contentFaults(body: Record<string, unknown>, pointer: string): FieldFault[] {
  const isAbsent = (value: unknown) => value === undefined || value === null || value === "";
  if (!isAbsent(body.body) || !isAbsent(body.html_body)) return [];
  if (Array.isArray(body.attachments) && body.attachments.length > 0) return [];
  const detail = "expected body, html_body or an attachment, got neither";
  return [{ pointer: `${pointer}/body`, detail }];
}

function senderFaults(fields: SomeFields, { config, pointer }: RuleContext): FieldFault[] {
  // At fault already.
  if (!("from" in fields)) return [];
  const { from: defaultFrom, allowed } = config.sender;
  const place = `${pointer}/from`;
  if (fields.from == null) {
    const detail = "expected an address, got nothing, and SMTP_FROM sets no default";
    return defaultFrom === null ? [{ pointer: place, detail }] : [];
  }
  if (allowed === null || isAllowed(fields.from, allowed)) return [];
  const detail = `expected a sender that SMTP_FROM_ALLOWED permits, got ${quoteInput(fields.from.address)}`;
  return [{ pointer: place, detail }];
}

/** A header that the provider behind the next hop takes for a command is refused by its name. */
function headerFaults({ headers }: SomeFields, { config, pointer }: RuleContext): FieldFault[] {
  return Object.keys(headers ?? {}).flatMap((name) => {
    const command = providerCommand(name);
    const isMeant = config.sender.headersAllowed.some((pattern) => isNamedBy(name, pattern));
    if (command === null || isMeant) return [];
    const detail = `expected no header that mail providers take for a command (${command}) unless HEADERS_ALLOWED lists it, got ${quoteInput(name)}`;
    return [{ pointer: pointerTo(`${pointer}/headers`, [name]), detail }];
  });
}

export function isAllowed({ address }: Address, allowed: readonly string[]): boolean {
  const wanted = address.toLowerCase();
  const domain = wanted.slice(wanted.lastIndexOf("@") + 1);
  return allowed.some((one) => one.toLowerCase() === wanted || one.toLowerCase() === domain);
}

function timeFaults(fields: SomeFields, { now, pointer }: RuleContext): FieldFault[] {
  const { scheduled_at: scheduledAt, expires_at: expiresAt, on_late: onLate } = fields;
  const { max_lateness: maxLateness } = fields;
  const faults: FieldFault[] = [];
  const past = scheduledAt ? pastFault(scheduledAt, now) : null;
  if (past !== null) faults.push({ pointer: `${pointer}/scheduled_at`, detail: past });
  const start = scheduledAt && scheduledAt > now ? scheduledAt : now;
  if (expiresAt && expiresAt <= start) {
    const after = start === now ? "now" : "scheduled_at";
    const detail = `expected a time after ${after} (${start.toISOString()}), got ${expiresAt.toISOString()}`;
    faults.push({ pointer: `${pointer}/expires_at`, detail });
  }
  // A field with a fault of its own is absent here, and must not be reported as missing.
  const areBothRead = "expires_at" in fields && "max_lateness" in fields;
  const isLimited = expiresAt != null || maxLateness != null;
  if ((onLate === "drop" || onLate === "hold") && areBothRead && !isLimited) {
    faults.push(lateAlone(onLate, pointer));
  }
  if (expiresAt != null && maxLateness != null) faults.push(limitedTwice(maxLateness, pointer));
  return faults;
}

/** In a region that nobody has ever heard of an email would wait until another one sends it. */
function regionFaults({ region }: SomeFields, context: RuleContext): FieldFault[] {
  const known = [...new Set([context.config.region, ...(context.regions ?? [])])].sort();
  if (region == null || known.includes(region)) return [];
  const detail = `expected a region that is known (${known.join(", ")}), got ${quoteInput(region)}`;
  return [{ pointer: `${context.pointer}/region`, detail }];
}

export function lateAlone(onLate: string, pointer: string): FieldFault {
  const detail = `expected ${quoteInput(onLate)} together with expires_at or max_lateness, got it alone`;
  return { pointer: `${pointer}/on_late`, detail };
}

export function limitedTwice(maxLateness: number, pointer: string): FieldFault {
  const detail = `expected either expires_at or max_lateness, got both, max_lateness being ${maxLateness}`;
  return { pointer: `${pointer}/max_lateness`, detail };
}
