import { z } from "zod";
import type { Address } from "../../email/email.ts";
import {
  headerNameFault,
  headersMax,
  headerValueFault,
  repeatedHeaders,
} from "../../email/header-rules.ts";
import { addressForms, addressTextLengthMax, parseAddress } from "../../email/parse-address.ts";
import { parseInstant } from "../../email/parse-time.ts";
import type { Parsed } from "../../email/parsed.ts";
import { quoteInput } from "../../email/quote-input.ts";
import { regionNamePattern, regionNameWords } from "../../email/region-name.ts";
import { InexactNumber } from "./inexact-number.ts";
import { type JsonSchema, jsonSchemaOf } from "./json-schema.ts";

/** The words of a fault: what was expected and what came. */
export function expecting(expected: string) {
  return {
    error: ({ input }: { input?: unknown }) => `expected ${expected}, got ${quoteInput(input)}`,
  };
}

/** Every region that REGION may name; whether it is known is judged elsewhere. */
export const regionField = z
  .string(expecting("the name of a region"))
  .regex(regionNamePattern, expecting(`a region of ${regionNameWords}`));

type Context = z.core.$RefinementCtx;

/**
 * A list whose length is judged before anything in it is read: zod alone reads 200,000 addresses,
 * and finds fault with each, before it says that there may be 50.
 */
export function boundedList<Part extends z.ZodType>(
  part: Part,
  { max, list, tooMany }: { max: number; list: string; tooMany: string },
) {
  const parts = z.array(part, expecting(list)).max(max, expecting(tooMany));
  return z
    .unknown()
    .transform((input, ctx): z.output<Part>[] => {
      if (Array.isArray(input) && input.length > max) {
        addFault(ctx, { message: expecting(tooMany).error({ input }), input });
        return z.NEVER;
      }
      const read = parts.safeParse(input);
      if (read.success) return read.data;
      for (const issue of read.error.issues) {
        ctx.issues.push({ ...issue, input } as z.core.$ZodRawIssue);
      }
      return z.NEVER;
    })
    .meta(shapeOf(parts));
}

/** Takes anything, for somebody who reads it by `schema` afterwards. */
export function readLater(schema: z.ZodType) {
  return z.unknown().meta(shapeOf(schema));
}

/** What the OpenAPI document says of a field whose type the schema itself does not tell. */
function shapeOf(schema: z.ZodType): JsonSchema {
  return jsonSchemaOf(schema, "input");
}

export function addFault(
  ctx: Context,
  fault: { path?: PropertyKey[]; message: string; input: unknown },
): void {
  ctx.issues.push({ code: "custom", ...fault });
}

function accept<T>(parsed: Parsed<T>, input: unknown, ctx: Context): T {
  if ("value" in parsed) return parsed.value;
  addFault(ctx, { message: parsed.fault, input });
  return z.NEVER;
}

export function isPlainObject(input: unknown): input is Record<string, unknown> {
  if (typeof input !== "object" || input === null) return false;
  return !Array.isArray(input) && !(input instanceof InexactNumber);
}

/** `a@b`, `Name <a@b>` or `{ address, name }`. */
export const addressField = z
  .unknown()
  .transform((input, ctx): Address => {
    if (isPlainObject(input)) addUnknownFields(input, ["address", "name"], ctx);
    return accept(parseAddress(input), input, ctx);
  })
  .meta({
    description: "An address: `a@b`, `Name <a@b>` or `{ address, name }`.",
    anyOf: [
      { type: "string", maxLength: addressTextLengthMax },
      {
        type: "object",
        properties: { address: { type: "string" }, name: { type: ["string", "null"] } },
        required: ["address"],
        additionalProperties: false,
      },
    ],
  });

/** At most 50, like all recipients together. */
export const addressList = boundedList(addressField, {
  max: 50,
  list: `a list of ${addressForms}`,
  tooMany: "at most 50 addresses",
}).nullish();

/** One address, or a list of them. */
export const addressesField = z
  .unknown()
  .transform((input, ctx): Address[] | null => {
    if (input === undefined || input === null) return null;
    const read = Array.isArray(input)
      ? addressList.safeParse(input)
      : addressField.safeParse(input);
    if (read.success) return Array.isArray(read.data) ? read.data : [read.data as Address];
    for (const issue of read.error.issues) {
      ctx.issues.push({ ...issue, input } as z.core.$ZodRawIssue);
    }
    return z.NEVER;
  })
  .meta({ anyOf: [shapeOf(addressField), shapeOf(addressList)] });

function addUnknownFields(input: object, known: string[], ctx: Context): void {
  for (const name of Object.keys(input)) {
    if (known.includes(name)) continue;
    const message = `expected no field but ${known.join(", ")}, got ${quoteInput(name)}`;
    addFault(ctx, { path: [name], message, input });
  }
}

/** RFC 3339 with offset or Z. Whether it is past is judged later, by the clock. */
export const timeField = z
  .unknown()
  .transform((input, ctx): Date | null =>
    input === null || input === undefined ? null : accept(parseInstant(input), input, ctx),
  )
  .meta({ type: ["string", "null"], format: "date-time" });

/** A time that may be left out. Null is refused: a filter that lost a bound matches more. */
export const boundField = z
  .unknown()
  .transform((input, ctx): Date | null =>
    input === undefined ? null : accept(parseInstant(input), input, ctx),
  )
  .meta({ type: "string", format: "date-time" });

/**
 * When a credential ends: a time, or the word never (null); undefined: left to the default. Null is
 * refused: a variable that happens to be empty would make one that never ends.
 */
export const credentialEndField = z
  .unknown()
  .transform((input, ctx): Date | null | undefined => {
    if (input === undefined || input === "never") return input === undefined ? input : null;
    return accept(parseInstant(input), input, ctx);
  })
  .meta({ type: "string" });

/**
 * When to send. Null is refused: in most programs it is a variable that happens to be empty, and
 * would send now what was meant for later.
 */
export const sendingTimeField = z
  .unknown()
  .transform((input, ctx): Date | null => {
    if (input === undefined) return null;
    if (input !== null) return accept(parseInstant(input), input, ctx);
    addFault(ctx, { message: noNullTime, input });
    return z.NEVER;
  })
  .meta({ type: "string", format: "date-time" });

const noNullTime =
  "expected an RFC 3339 time, got null: leave the field out, " +
  "or POST /api/v1/emails/{id}/send-now to send an email now";

/** Names of the allow-list, each once in whatever letter case. */
export const headersField = z
  .unknown()
  .transform((input, ctx): Record<string, string> => {
    if (input === null || input === undefined) return {};
    if (!isPlainObject(input) || Object.keys(input).length > headersMax) {
      const message = `expected an object of at most ${headersMax} headers, got ${quoteInput(input)}`;
      addFault(ctx, { message, input });
      return z.NEVER;
    }
    const repeated = repeatedHeaders(Object.keys(input));
    for (const [name, value] of Object.entries(input)) {
      const message = repeated.includes(name)
        ? `expected each header once, got ${quoteInput(name)} in several letter cases`
        : (headerNameFault(name) ?? headerValueFault(value, name));
      if (message !== null) addFault(ctx, { path: [name], message, input: value });
    }
    return input as Record<string, string>;
  })
  .meta({
    type: ["object", "null"],
    additionalProperties: { type: "string", maxLength: 998 },
    maxProperties: headersMax,
  });

const metadataBytesMax = 16 * 1024;

/** Kept as it came; stored in clear. */
export const metadataField = z
  .unknown()
  .transform((input, ctx): Record<string, unknown> => {
    if (input === null || input === undefined) return {};
    const bytes = isPlainObject(input) ? Buffer.byteLength(JSON.stringify(input)) : null;
    if (isPlainObject(input) && bytes !== null && bytes <= metadataBytesMax) return input;
    const came = bytes === null ? quoteInput(input) : `${bytes} bytes`;
    const message = `expected an object of at most ${metadataBytesMax} bytes as JSON, got ${came}`;
    addFault(ctx, { message, input });
    return z.NEVER;
  })
  .meta({ type: ["object", "null"], additionalProperties: true });
