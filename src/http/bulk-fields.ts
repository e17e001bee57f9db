import { z } from "zod";
import { parseDomain } from "../email/parse-domain.ts";
import { pastFault } from "../email/parse-time.ts";
import type { Parsed } from "../email/parsed.ts";
import { deadLetterStates } from "../email/states.ts";
import type { FieldFault } from "../errors.ts";
import type { BulkProgress } from "../queue/bulk.ts";
import type { DeadLetterFilter } from "../store/dead-letters.ts";
import { isUuid } from "./email-id.ts";
import { addFault, expecting, isPlainObject, timeField } from "./field-schemas.ts";
import { plainDecimal } from "./inexact-number.ts";
import { parseGroup } from "./list-query.ts";

/** Fields of the bodies that mean many emails at once. */

const idsMax = 1_000;

function parsedField<T>(parse: (input: unknown) => Parsed<T>) {
  return z
    .unknown()
    .transform((input, ctx): T | null => {
      if (input === null || input === undefined) return null;
      const parsed = parse(input);
      if ("value" in parsed) return parsed.value;
      addFault(ctx, { message: parsed.fault, input });
      return z.NEVER;
    })
    .meta({ type: ["string", "null"] });
}

const words = z.string(expecting("a text")).min(1, expecting("a text that is not empty")).nullish();
const flag = z.boolean(expecting("true or false")).nullish();

/** Values are compared as text, since the database has them as JSON. */
const metadataFilter = z
  .unknown()
  .transform((input, ctx): Record<string, string> | null => {
    if (input === null || input === undefined) return null;
    const values = isPlainObject(input) ? Object.entries(input) : [];
    const isPlain = ([, value]: [string, unknown]) =>
      ["string", "number", "boolean"].includes(typeof value);
    if (values.length > 0 && values.every(isPlain)) {
      return Object.fromEntries(values.map(([name, value]) => [name, textOf(value)]));
    }
    const { error } = expecting("an object of texts, numbers or booleans");
    addFault(ctx, { message: error({ input }), input });
    return z.NEVER;
  })
  .meta({ type: ["object", "null"], additionalProperties: true });

function textOf(value: unknown): string {
  return typeof value === "number" ? plainDecimal(value) : String(value);
}

/** What both bulk replay and bulk cancel are narrowed by. */
export const narrowing = {
  tag: words,
  metadata: metadataFilter,
  scheduled_after: timeField,
  scheduled_before: timeField,
};

const uuids = z
  .array(
    z.string(expecting("an id")).refine(isUuid, expecting("an id of an email")),
    expecting("a list of ids"),
  )
  .min(1, expecting(`1 to ${idsMax} ids`))
  .max(idsMax, expecting(`1 to ${idsMax} ids`))
  .nullish();

export const deadLetterFilterSchema = z.strictObject({
  ...narrowing,
  status: z.enum(deadLetterStates, expecting(`one of ${deadLetterStates.join(", ")}`)).nullish(),
  group: parsedField(parseGroup),
  smtp_code: z
    .int(expecting("a whole number from 200 to 599"))
    .min(200, expecting("a whole number from 200 to 599"))
    .max(599, expecting("a whole number from 200 to 599"))
    .nullish(),
  domain: parsedField((input) => parseDomain(typeof input === "string" ? input : "")),
  ids: uuids,
  all: flag,
});

export const replaysSchema = z.strictObject({
  filter: z.unknown(),
  rate_per_minute: z
    .number(expecting("a number from 0.01 to 100000"))
    .min(0.01, expecting("a number from 0.01 to 100000"))
    .max(100_000, expecting("a number from 0.01 to 100000"))
    .nullish(),
  scheduled_at: timeField,
  dry_run: flag,
});

export const cancelsSchema = z.strictObject({ ...narrowing, dry_run: flag });

type FilterFields = Partial<z.output<typeof deadLetterFilterSchema>>;

/** Of the fields that both have; what is null is left out. */
export function narrowingOf(fields: Partial<Record<keyof typeof narrowing, unknown>>) {
  const {
    tag,
    metadata,
    scheduled_after: after,
    scheduled_before: before,
  } = fields as FilterFields;
  return {
    ...(tag ? { tag } : {}),
    ...(metadata ? { metadata } : {}),
    ...(after ? { scheduledAfter: after } : {}),
    ...(before ? { scheduledBefore: before } : {}),
  };
}

/**
 * What was uncertain may have been sent, and is only meant when it is named: by its status or by
 * its id.
 */
export function deadLetterFilterOf(
  fields: FilterFields,
  domainIndexes: (domain: string) => string[],
): DeadLetterFilter {
  const { status, group, smtp_code: smtpCode, domain, ids } = fields;
  const certain = deadLetterStates.filter((state) => state !== "uncertain");
  const statuses = status ? [status] : ids ? [...deadLetterStates] : certain;
  return {
    ...narrowingOf(fields),
    statuses,
    ...(group ? { group } : {}),
    ...(smtpCode ? { smtpCode } : {}),
    ...(domain ? { domainIndex: domainIndexes(domain) } : {}),
    ...(ids ? { ids } : {}),
  };
}

/** True when nothing narrows it: such a request is refused, so that nobody means all by mistake. */
export function isEmptyFilter(fields: Record<string, unknown>): boolean {
  return Object.values(fields).every((value) => value === null || value === undefined);
}

export function pastFaults(scheduledAt: Date | null | undefined, now: Date): FieldFault[] {
  const past = scheduledAt ? pastFault(scheduledAt, now) : null;
  return past === null ? [] : [{ pointer: "/scheduled_at", detail: past }];
}

/** Of one request, the oldest; `queue/bulk.ts` takes no more. */
const matchedMax = 100_000;

export function progressWarnings({ matched, isComplete }: BulkProgress): string[] {
  return [
    ...(isComplete ? [] : ["This answer came before the end: the rest is still being changed."]),
    ...(matched > matchedMax
      ? [`One request changes at most the oldest ${matchedMax}; send another one for the rest.`]
      : []),
  ];
}
