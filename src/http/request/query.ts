import { AppError, type FieldFault } from "../../errors.ts";
import type { ApiContext } from "../api-env.ts";
import { pointerTo } from "./json-pointer.ts";
import { likelyHint } from "./likely-name.ts";

/**
 * Refuses parameters that are not `known` (`metadata.*` stands for every name that begins so)
 * or come twice: a misspelt filter must not show everything.
 */
export function assertQuery(c: ApiContext, known: readonly string[]): void {
  const faults: FieldFault[] = [];
  for (const [name, values] of Object.entries(c.req.queries())) {
    const place = pointerTo("", [name]);
    const isKnown = known.some((one) =>
      one.endsWith("*")
        ? name.startsWith(one.slice(0, -1)) && name.length >= one.length
        : one === name,
    );
    if (!isKnown) {
      const expected = known.length === 0 ? "no query parameter" : `one of ${known.join(", ")}`;
      const hint = likelyHint(name, known);
      faults.push({ pointer: place, detail: `expected ${expected}, got this name${hint}` });
    } else if (values.length > 1) {
      faults.push({ pointer: place, detail: `expected one value, got ${values.length}` });
    } else if ([name, ...values].some((text) => text.includes("\0"))) {
      faults.push({ pointer: place, detail: "expected a name and a value without NUL, got one" });
    }
  }
  if (faults.length > 0) throw invalidQuery(faults);
}

export function invalidQuery(faults: FieldFault[]): AppError {
  return new AppError("invalid_query", {
    publicDetail:
      faults.length === 1
        ? "One query parameter is invalid; see errors."
        : `${faults.length} query parameters are invalid; see errors.`,
    faults,
  });
}
