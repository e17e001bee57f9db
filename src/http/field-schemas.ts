import { z } from "zod";
import type { Address } from "../email/email.ts";
import {
  headerNameFault,
  headersMax,
  headerValueFault,
  repeatedHeaders,
} from "../email/header-rules.ts";
import { addressForms, parseAddress } from "../email/parse-address.ts";
import { parseInstant } from "../email/parse-time.ts";
import type { Parsed } from "../email/parsed.ts";
import { quoteInput } from "../email/quote-input.ts";
import { InexactNumber } from "./inexact-number.ts";

/** The words of a fault: what was expected and what came. */
export function expecting(expected: string) {
  return {
    error: ({ input }: { input?: unknown }) => `expected ${expected}, got ${quoteInput(input)}`,
  };
}

type Context = z.core.$RefinementCtx;

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
      { type: "string", maxLength: 600 },
      {
        type: "object",
        properties: { address: { type: "string" }, name: { type: ["string", "null"] } },
        required: ["address"],
        additionalProperties: false,
      },
    ],
  });

/** At most 50, like all recipients together. */
export const addressList = z
  .array(addressField, expecting(`a list of ${addressForms}`))
  .max(50, expecting("at most 50 addresses"))
  .nullish();

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
