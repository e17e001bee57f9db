import { type Scope, scopes } from "../../../auth/principal.ts";

/** What stands in the form, as it was chosen. */
export interface KeyFields {
  name: string;
  scopes: readonly string[];
  /** Name of one of `keyEnds`. */
  ends: string;
}

export const keyScopes: readonly Scope[] = scopes;

/** `days` null: never. */
export const keyEnds = [
  { name: "month", words: "in 30 days", days: 30 },
  { name: "quarter", words: "in 90 days", days: 90 },
  { name: "year", words: "in a year", days: 365 },
  { name: "never", words: "never", days: null },
] as const;

export const emptyKeyFields: KeyFields = { name: "", scopes: ["send", "read"], ends: "year" };

const dayMs = 86_400_000;

/** Whatever a browser sends; `form` with every value of a name that occurs several times. */
export function keyFieldsOf(form: Record<string, unknown>): KeyFields {
  const { name, scopes: chosen, ends } = form;
  return {
    name: typeof name === "string" ? name.trim() : "",
    scopes: [chosen].flat().filter((one) => typeof one === "string"),
    ends: typeof ends === "string" ? ends : "year",
  };
}

/** The body of POST /api-keys: judged by the same rules, in the same words. */
export function keyBodyOf({ name, scopes: chosen, ends }: KeyFields, now: Date) {
  const days = keyEnds.find((end) => end.name === ends)?.days;
  if (days === undefined) return { name, scopes: chosen, expires_at: ends };
  const expiresAt = days === null ? "never" : new Date(now.getTime() + days * dayMs).toISOString();
  return { name, scopes: chosen, expires_at: expiresAt };
}
