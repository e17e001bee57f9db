import { emailStates } from "../../email/email.ts";
import { emailEventTypes } from "../../email/event-types.ts";
import type { Parsed } from "../../email/parsed.ts";
import { quoteInput } from "../../email/quote-input.ts";
import { AppError, type FieldFault } from "../../errors.ts";
import type { EventFilter } from "../../store/events.ts";
import { type ApiContext, principalOf } from "../api-env.ts";
import {
  createReader,
  limitDefault,
  limitMax,
  parseWhole,
  type Reader,
  readOffset,
} from "./list-query.ts";
import { invalidQuery } from "./query.ts";

export const eventParameters = [
  "type",
  "tag",
  "status",
  "owner",
  "limit",
  "offset",
  "cursor",
  "after",
];
export const emailEventParameters = ["type", "status", "limit", "offset", "cursor", "after"];
/** In place of the header, for who cannot send one. */
export const tokenParameter = "token";

export const eventStreamType = "text/event-stream";

/** HEAD is answered as the page is: nobody reads a stream's head for ever. */
export function wantsStream(c: ApiContext): boolean {
  const accepts = c.req.header("accept")?.includes(eventStreamType) ?? false;
  return accepts && c.req.method === "GET";
}

export interface EventsQuery {
  filter: EventFilter;
  limit: number;
  /** null: by cursor, or behind `after`. */
  offset: number | null;
  /** The `next_cursor` of an earlier page; null: the first page. */
  cursor: number | null;
  /** Oldest first behind this one; null: `cursor` decides. A stream begins there. */
  after: number | null;
}

/** Filter and place of a page or of a stream, every fault at once. */
export function readEventsQuery(c: ApiContext): EventsQuery {
  const faults: FieldFault[] = [];
  const read = createReader(c, faults);
  const filter = readFilter(c, read);
  const limit = read("limit", (text) => parseWhole(text, 1, limitMax)) ?? limitDefault;
  const cursor = read("cursor", (text) => parsePosition(text, 1));
  const after = read("after", (text) => parsePosition(text, 0));
  const offset = readOffset(c, read, faults);
  const last = wantsStream(c) ? readLastEventId(c, faults) : null;
  if (after !== null && cursor !== null) {
    faults.push({ pointer: "/cursor", detail: "expected after or cursor, got both" });
  }
  if (after !== null && c.req.query("offset") !== undefined) {
    faults.push({ pointer: "/offset", detail: "expected after or offset, got both" });
  }
  for (const name of wantsStream(c) ? ["limit", "offset", "cursor"] : []) {
    if (c.req.query(name) === undefined) continue;
    faults.push({ pointer: `/${name}`, detail: "expected none, as a stream is not paged" });
  }
  if (faults.length > 0) throw invalidQuery(faults);
  // A browser that connects again sends the header, beside the address it was given at first.
  return { filter, limit, offset: after === null ? offset : null, cursor, after: last ?? after };
}

function readFilter(c: ApiContext, read: Reader): EventFilter {
  const types = read("type", parseTypes) ?? emailEventTypes;
  const status = read("status", parseStatus);
  const ownerId = read("owner", parseOwner);
  const tag = c.req.query("tag");
  const { isAdmin, ownerId: self } = principalOf(c);
  if (!isAdmin && ownerId !== null && ownerId !== self) {
    throw new AppError("forbidden", { publicDetail: "Only an admin may ask for another owner's." });
  }
  return {
    types,
    ...(tag !== undefined && { tag }),
    ...(status !== null && { status }),
    ...(ownerId !== null && { ownerId }),
  };
}

function readLastEventId(c: ApiContext, faults: FieldFault[]): number | null {
  const text = c.req.header("last-event-id")?.trim() ?? "";
  if (text === "") return null;
  const parsed = parsePosition(text, 0);
  if ("value" in parsed) return parsed.value;
  const detail = `expected the id of an event, got ${quoteInput(text)}`;
  faults.push({ pointer: "/Last-Event-ID", detail });
  return null;
}

/** Several by commas; `email.*` stands for all there are. */
function parseTypes(text: string): Parsed<readonly string[]> {
  const asked = text.split(",");
  const known: readonly string[] = emailEventTypes;
  const unknown = asked.find((type) => type !== "email.*" && !known.includes(type));
  if (unknown === undefined) return { value: asked.includes("email.*") ? known : asked };
  return { fault: `expected email.* or some of ${known.join(",")}, got ${quoteInput(unknown)}` };
}

function parseStatus(text: string): Parsed<string> {
  const state = emailStates.find((one) => one === text);
  if (state) return { value: state };
  return { fault: `expected one of ${emailStates.join(", ")}, got ${quoteInput(text)}` };
}

function parseOwner(text: string): Parsed<string> {
  if (text !== "" && text.length <= 255) return { value: text };
  return { fault: `expected 1 to 255 characters, got ${quoteInput(text)}` };
}

function parsePosition(text: string, min: number): Parsed<number> {
  const position = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(position) && position >= min) return { value: position };
  return { fault: `expected the id of an event or a next_cursor, got ${quoteInput(text)}` };
}
