import type { z } from "zod";
import { quoteInput } from "../../email/quote-input.ts";
import type { FieldFault } from "../../errors.ts";
import { isPlainObject } from "./field-schemas.ts";
import { pointerTo } from "./json-pointer.ts";
import { textFaults } from "./json-text.ts";
import { likelyHint } from "./likely-name.ts";

/** Looking for the name that was meant takes time, and an answer shows no more faults than these. */
const hintedMax = 100;

/**
 * Reads each field of an object by itself, so that one at fault does not hide what is wrong with
 * the others, nor with them together: `fields` holds those that are valid. Unknown fields are
 * faults, so that a misspelt `schedule_at` can never mean "send now".
 */
export function readFields<Shape extends Record<string, z.ZodType>>(
  input: unknown,
  schema: z.ZodObject<Shape>,
  pointer = "",
): { fields: Partial<z.output<z.ZodObject<Shape>>>; faults: FieldFault[] } {
  if (!isPlainObject(input)) {
    const detail = `expected an object, got ${quoteInput(input)}`;
    const unstorable = textFaults(input, pointer);
    return { fields: {}, faults: unstorable.length > 0 ? unstorable : [{ pointer, detail }] };
  }
  const faults = textFaults(input, pointer);
  const places = new Set(faults.map((fault) => fault.pointer));
  const fields: Record<string, unknown> = {};
  for (const [name, part] of Object.entries<z.ZodType>(schema.shape)) {
    if (!Object.hasOwn(input, name) && isFineWhenAbsent(part)) {
      fields[name] = undefined;
      continue;
    }
    const result = part.safeParse(Object.hasOwn(input, name) ? input[name] : undefined);
    if (result.success) {
      fields[name] = result.data;
      continue;
    }
    const found = toFaults(result.error.issues, pointerTo(pointer, [name]));
    const isNull = input[name] === null && part.safeParse(undefined).success;
    // A place has one fault: what cannot be stored is of no type either.
    const fresh = found.filter((fault) => !places.has(fault.pointer));
    faults.push(...(isNull ? fresh.map(withAdvice) : fresh));
  }
  const known = Object.keys(schema.shape);
  for (const name of Object.keys(input)) {
    if (Object.hasOwn(schema.shape, name)) continue;
    faults.push(unknownField(pointer, name, faults.length < hintedMax ? known : []));
  }
  return { fields: fields as Partial<z.output<z.ZodObject<Shape>>>, faults };
}

/** Most programs send null for a variable that happens to be empty. */
function withAdvice({ pointer, detail }: FieldFault): FieldFault {
  const isBare = detail.endsWith("got null");
  return { pointer, detail: isBare ? `${detail}: leave the field out instead` : detail };
}

/** Fields that come to nothing when they are left out, as most of an email's are in most requests. */
const fineWhenAbsent = new WeakMap<z.ZodType, boolean>();

function isFineWhenAbsent(part: z.ZodType): boolean {
  let isFine = fineWhenAbsent.get(part);
  if (isFine === undefined) {
    const result = part.safeParse(undefined);
    isFine = result.success && result.data === undefined;
    fineWhenAbsent.set(part, isFine);
  }
  return isFine;
}

function toFaults(issues: readonly z.core.$ZodIssue[], pointer: string): FieldFault[] {
  return issues.flatMap((issue) => {
    const place = pointerTo(pointer, issue.path);
    return issue.code === "unrecognized_keys"
      ? issue.keys.map((name) => unknownField(place, name))
      : [{ pointer: place, detail: issue.message }];
  });
}

/** `known`: what may stand there, so that a likely slip is named; empty when that is not known. */
function unknownField(pointer: string, name: string, known: readonly string[] = []): FieldFault {
  return {
    pointer: pointerTo(pointer, [name]),
    detail: `expected no such field, got ${quoteInput(name)}${likelyHint(name, known)}`,
  };
}
