import type { FieldFault } from "../../errors.ts";
import { InexactNumber } from "./inexact-number.ts";
import { pointerTo } from "./json-pointer.ts";

/**
 * Places in parsed JSON that neither PostgreSQL nor UTF-8 can hold: NUL and half a surrogate pair;
 * and numbers that a double cannot hold, which would be rounded, or come out as null (`1e999`).
 * Recursive: `readJson` has bounded the depth.
 */
export function textFaults(value: unknown, pointer: string): FieldFault[] {
  if (typeof value === "string") return faultOf(isStorable(value), pointer, textFault);
  if (value instanceof InexactNumber) return [{ pointer, detail: numberFault(value) }];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, part]) => {
    if (!isStorable(name)) return [{ pointer, detail: `the name of a field: ${textFault}` }];
    return textFaults(part, pointerTo(pointer, [name]));
  });
}

const textFault = "expected text without NUL and without half a surrogate pair, got such a one";

function numberFault({ source }: InexactNumber): string {
  const shown = source.length > 40 ? `${source.slice(0, 40)}…` : source;
  return `expected a number that a double holds without rounding, got ${shown}: send it as a text, in quotes`;
}

function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes("\0");
}

function faultOf(isFine: boolean, pointer: string, detail: string): FieldFault[] {
  return isFine ? [] : [{ pointer, detail }];
}
