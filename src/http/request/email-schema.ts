import { z } from "zod";
import type { Parsed } from "../../email/parsed.ts";
import {
  gapPolicies,
  overlapPolicies,
  parseLocalTime,
  parseTimezone,
} from "../../email/wall-clock.ts";
import { attachmentsField, rawField } from "./attachment-schema.ts";
import {
  addFault,
  addressesField,
  addressField,
  addressList,
  boundedList,
  expecting,
  headersField,
  metadataField,
  regionField,
  sendingTimeField,
  timeField,
} from "./field-schemas.ts";

const maxAgeSecondsMax = 31_536_000;
/** Ten years. */
const maxLatenessSecondsMax = 315_360_000;

/** The fields of an email, as API.md lists them; the OpenAPI document is made of this. */
export const emailSchema = z.strictObject({
  recipients: addressList,
  cc: addressList,
  bcc: addressList,
  from: addressField.nullish(),
  reply_to: addressesField,
  subject: z
    .string(expecting("a subject"))
    .max(998, { ...expecting("a subject of at most 998 characters"), abort: true })
    .refine(
      (subject) => !isBlank(subject),
      expecting("a subject of 1 to 998 characters, not only white space"),
    )
    .refine(
      (subject) => !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(subject),
      expecting("a subject on one line without control characters"),
    ),
  body: z.string(expecting("a text")).nullish(),
  html_body: z.string(expecting("HTML as a text")).nullish(),
  text: z.literal("auto", expecting('"auto", or body for a text of your own')).optional(),
  scheduled_at: sendingTimeField,
  local_time: parsedText(parseLocalTime, "a local time"),
  timezone: parsedText(parseTimezone, "the name of a time zone"),
  dst: z
    .strictObject(
      {
        gap: z
          .enum(gapPolicies, expecting('"later", "earlier" or "reject"'))
          .optional()
          .meta({ description: "What a time means that clocks skip. Default: `later`." }),
        overlap: z
          .enum(overlapPolicies, expecting('"first", "second" or "reject"'))
          .optional()
          .meta({ description: "What a time means that clocks show twice. Default: `first`." }),
      },
      { error: dstFault },
    )
    .optional(),
  expires_at: timeField,
  max_lateness: wholeNumber(1, maxLatenessSecondsMax),
  max_retries: wholeNumber(0, 20),
  max_age: wholeNumber(1, maxAgeSecondsMax),
  on_late: z.enum(["send", "drop", "hold"], expecting('"send", "drop" or "hold"')).nullish(),
  on_uncertain: z.enum(["retry", "hold"], expecting('"retry" or "hold"')).nullish(),
  attachments: attachmentsField,
  headers: headersField,
  tags: boundedList(
    z
      .string(expecting("a tag"))
      .regex(/^[\x20-\x7e]{1,64}$/, expecting("a tag of 1 to 64 ASCII characters")),
    { max: 10, list: "a list of tags", tooMany: "at most 10 tags" },
  ).nullish(),
  metadata: metadataField,
  region: regionField.nullish(),
  // Null is refused: everybody would see everybody because a variable happened to be empty.
  individual: z.boolean(expecting("true or false")).optional(),
  raw: rawField,
  list_unsubscribe: z.unknown().meta({ description: "Not supported yet." }),
});

/** No null: a variable that happens to be empty must not mean now. */
function parsedText(parse: (input: string) => Parsed<string>, expected: string) {
  return z
    .string(expecting(expected))
    .transform((input, ctx): string => {
      const parsed = parse(input);
      if ("value" in parsed) return parsed.value;
      addFault(ctx, { message: parsed.fault, input });
      return z.NEVER;
    })
    .optional();
}

/** Unknown fields are named by `readFields`. */
function dstFault({ code, input }: { code: string; input?: unknown }): string | undefined {
  return code === "unrecognized_keys" ? undefined : expecting("{ gap, overlap }").error({ input });
}

/** Nothing that is seen: the message would go out without a Subject, or look as if it did. */
function isBlank(text: string): boolean {
  return /^[\p{Z}\p{Cf}\p{Default_Ignorable_Code_Point}]*$/u.test(text);
}

export type EmailFields = z.output<typeof emailSchema>;

function wholeNumber(min: number, max: number) {
  const expected = expecting(`a whole number from ${min} to ${max}`);
  return z.number(expected).int(expected).min(min, expected).max(max, expected).nullish();
}
