import { z } from "zod";
import { parseDomain } from "../../email/parse-domain.ts";
import { pastFault } from "../../email/parse-time.ts";
import type { Parsed } from "../../email/parsed.ts";
import { quoteInput } from "../../email/quote-input.ts";
import { deadLetterStates } from "../../email/states.ts";
import type { BulkProgress } from "../../emails/bulk.ts";
import type { FieldFault } from "../../errors.ts";
import type { DeadLetterFilter } from "../../store/dead-letters.ts";
import { isUuid } from "./email-id.ts";
import {
  addFault,
  boundedList,
  boundField,
  expecting,
  isPlainObject,
  readLater,
  sendingTimeField,
} from "./field-schemas.ts";
import { plainDecimal } from "./inexact-number.ts";
import { parseGroup } from "./list-query.ts";

/**
 * Fields of the bodies that mean many emails at once. None may be null: a variable that happens to
 * be empty would widen a filter, lift a rate or make a dry run a real one.
 */

const idsMax = 1_000;
const filtersMax = 100;

function parsedField<T>(parse: (input: unknown) => Parsed<T>) {
  return z
    .unknown()
    .transform((input, ctx): T | null => {
      if (input === undefined) return null;
      const parsed = parse(input);
      if ("value" in parsed) return parsed.value;
      addFault(ctx, { message: parsed.fault, input });
      return z.NEVER;
    })
    .meta({ type: "string" });
}

/** No longer than a tag can be. */
const tag = z
  .string(expecting("a tag"))
  .min(1, expecting("a tag of 1 to 64 characters"))
  .max(64, expecting("a tag of 1 to 64 characters"))
  .optional();
const flag = z.boolean(expecting("true or false")).optional();

/** Values are compared as text, since the database has them as JSON. */
const metadataFilter = z
  .unknown()
  .transform((input, ctx): Record<string, string> | null => {
    if (input === undefined) return null;
    const values = isPlainObject(input) ? Object.entries(input) : [];
    const isPlain = ([, value]: [string, unknown]) =>
      ["string", "number", "boolean"].includes(typeof value);
    if (values.length > 0 && values.length <= filtersMax && values.every(isPlain)) {
      return Object.fromEntries(values.map(([name, value]) => [name, textOf(value)]));
    }
    const expected = `an object of 1 to ${filtersMax} texts, numbers or booleans`;
    const { error } = expecting(expected);
    addFault(ctx, { message: error({ input }), input });
    return z.NEVER;
  })
  .meta({ type: "object", additionalProperties: true });

function textOf(value: unknown): string {
  return typeof value === "number" ? plainDecimal(value) : String(value);
}

/** What both bulk replay and bulk cancel are narrowed by. */
export const narrowing = {
  tag,
  metadata: metadataFilter,
  scheduled_after: boundField,
  scheduled_before: boundField,
};

const uuids = boundedList(
  z.string(expecting("an id")).refine(isUuid, expecting("an id of an email")),
  { max: idsMax, list: "a list of ids", tooMany: `1 to ${idsMax} ids` },
)
  .refine((ids) => ids.length > 0, expecting(`1 to ${idsMax} ids`))
  .optional();

export const deadLetterFilterSchema = z.strictObject({
  ...narrowing,
  status: z.enum(deadLetterStates, expecting(`one of ${deadLetterStates.join(", ")}`)).optional(),
  group: parsedField(parseGroup),
  smtp_code: z
    .int(expecting("a whole number from 200 to 599"))
    .min(200, expecting("a whole number from 200 to 599"))
    .max(599, expecting("a whole number from 200 to 599"))
    .optional(),
  domain: parsedField((input) =>
    typeof input === "string"
      ? parseDomain(input)
      : { fault: `expected a domain such as example.com, got ${quoteInput(input)}` },
  ),
  ids: uuids,
  all: flag,
});

export const replaysSchema = z.strictObject({
  filter: readLater(deadLetterFilterSchema),
  rate_per_minute: z
    .number(expecting("a number from 0.01 to 100000"))
    .min(0.01, expecting("a number from 0.01 to 100000"))
    .max(100_000, expecting("a number from 0.01 to 100000"))
    .optional(),
  scheduled_at: sendingTimeField,
  dry_run: flag,
});

export const cancelsSchema = z.strictObject({ ...narrowing, dry_run: flag });
export const holdsSchema = cancelsSchema;
export const releasesSchema = cancelsSchema;

/** Ten years. */
const shiftSecondsMax = 315_360_000;
const shiftExpected = expecting(
  `a whole number of seconds from -${shiftSecondsMax} to ${shiftSecondsMax}, not 0`,
);

export const reschedulesSchema = z.strictObject({
  ...narrowing,
  scheduled_at: sendingTimeField,
  shift_seconds: z
    .int(shiftExpected)
    .min(-shiftSecondsMax, shiftExpected)
    .max(shiftSecondsMax, shiftExpected)
    .refine((seconds) => seconds !== 0, shiftExpected)
    .optional(),
  dry_run: flag,
});

/** For the journal, where it stays: it must not say what an email does. */
export const dismissReason = z
  .string(expecting("a reason of 1 to 500 characters on one line"))
  .regex(
    /^[^\p{Cc}\p{Zl}\p{Zp}]{1,500}$/u,
    expecting("a reason of 1 to 500 characters on one line"),
  )
  .optional();

export const dismissSchema = z.strictObject({ reason: dismissReason });

export const dismissesSchema = z.strictObject({
  filter: readLater(deadLetterFilterSchema),
  reason: dismissReason,
  dry_run: flag,
});

type FilterFields = Partial<z.output<typeof deadLetterFilterSchema>>;

/** Of the fields that both have; what was not given is left out. */
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
 * An uncertain email may have been sent, and is only meant when it is named: by its status or by
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
    // Ids name dismissed ones as well.
    ...(ids ? { ids, isWithDismissed: true } : {}),
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

/** Emails of one request, the oldest first; `emails/bulk.ts` takes no more. */
const matchedMax = 100_000;

export function progressWarnings({ matched, isComplete }: BulkProgress): string[] {
  return [
    ...(isComplete ? [] : ["This answer came before the end: the rest is still being changed."]),
    ...(matched > matchedMax
      ? [`One request changes at most the oldest ${matchedMax}; send another one for the rest.`]
      : []),
  ];
}
