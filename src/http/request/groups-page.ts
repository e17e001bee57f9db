import type { Parsed } from "../../email/parsed.ts";
import type { FieldFault } from "../../errors.ts";
import type { ApiContext } from "../api-env.ts";
import { limitDefault, limitMax, offsetMax, parseWhole } from "./list-query.ts";
import { invalidQuery } from "./query.ts";

/** Groups have no place in time that a cursor could hold: theirs holds how many were shown. */
export function writeOffsetCursor(offset: number): string {
  return Buffer.from(JSON.stringify({ offset })).toString("base64url");
}

export function readGroupsPage(c: ApiContext): { limit: number; offset: number } {
  const faults: FieldFault[] = [];
  const read = (name: string, parse: (text: string) => Parsed<number>): number | null => {
    const text = c.req.query(name);
    if (text === undefined) return null;
    const parsed = parse(text);
    if ("value" in parsed) return parsed.value;
    faults.push({ pointer: `/${name}`, detail: parsed.fault });
    return null;
  };
  const limit = read("limit", (text) => parseWhole(text, 1, limitMax)) ?? limitDefault;
  const offset = read("offset", (text) => parseWhole(text, 0, offsetMax));
  const cursor = read("cursor", readOffsetCursor);
  if (offset !== null && cursor !== null) {
    faults.push({ pointer: "/cursor", detail: "expected offset or cursor, got both" });
  }
  if (faults.length > 0) throw invalidQuery(faults);
  return { limit, offset: cursor ?? offset ?? 0 };
}

function readOffsetCursor(text: string): Parsed<number> {
  const [, digits = ""] =
    /^\{"offset":(\d{1,9})\}$/.exec(Buffer.from(text, "base64url").toString()) ?? [];
  return digits === ""
    ? { fault: "expected a next_cursor of an earlier answer, got another text" }
    : { value: Number(digits) };
}
