import type { Parsed } from "../../email/parsed.ts";
import type { ListCursor } from "../../store/stored-email.ts";
import { isUuid } from "./email-id.ts";

/** A timestamp as PostgreSQL writes it, with microseconds. */
const timestamp = /^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d{1,6})?[+-]\d{2}(:\d{2}){0,2}$/;

/** Opaque to callers; holds nothing but a place in the order of creation, or in that of `sort`. */
export function writeCursor({ createdAt, id }: ListCursor, sort?: string): string {
  const place = sort === undefined ? [createdAt, id] : [createdAt, id, sort];
  return Buffer.from(JSON.stringify(place)).toString("base64url");
}

/** The opposite of `writeCursor`, for text that anybody may have made up. */
export function readCursor(text: string, sort?: string): Parsed<ListCursor> {
  return readPlace(text, isUuid, sort);
}

/** The same for a list of deliveries, whose ids are of another form. */
export function readDeliveryCursor(text: string): Parsed<ListCursor> {
  return readPlace(text, (id) => /^msg_[\w-]{1,60}$/.test(id));
}

function readPlace(text: string, isId: (id: string) => boolean, sort?: string): Parsed<ListCursor> {
  const fault = { fault: "expected a next_cursor of an earlier answer, got another text" };
  if (!/^[\w-]{1,200}$/.test(text)) return fault;
  try {
    const [createdAt, id, ...rest] = JSON.parse(Buffer.from(text, "base64url").toString());
    // A place in another order is none in this one.
    const isOurs =
      rest.length === (sort === undefined ? 0 : 1) &&
      rest[0] === sort &&
      typeof createdAt === "string" &&
      timestamp.test(createdAt) &&
      typeof id === "string" &&
      isId(id);
    return isOurs ? { value: { createdAt, id } } : fault;
  } catch {
    // Not JSON, or no list: not ours.
    return fault;
  }
}
