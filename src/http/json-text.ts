import type { FieldFault } from "../errors.ts";
import { pointerTo } from "./json-pointer.ts";

/**
 * Places in parsed JSON that neither PostgreSQL nor UTF-8 can hold: NUL, half a surrogate pair,
 * and numbers beyond a double (`1e999`), which would come out as null again.
 * Recursive: `readJson` has bounded the depth.
 */
export function textFaults(value: unknown, pointer: string): FieldFault[] {
  if (typeof value === "string") return faultOf(isStorable(value), pointer, textFault);
  if (typeof value === "number") return faultOf(Number.isFinite(value), pointer, numberFault);
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, part]) => {
    if (!isStorable(name)) return [{ pointer, detail: `the name of a field: ${textFault}` }];
    return textFaults(part, pointerTo(pointer, [name]));
  });
}

const textFault = "expected text without NUL and without half a surrogate pair, got such a one";
const numberFault = "expected a number that fits a double, got a larger one";

function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes("\0");
}

function faultOf(isFine: boolean, pointer: string, detail: string): FieldFault[] {
  return isFine ? [] : [{ pointer, detail }];
}
