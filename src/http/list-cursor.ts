import type { Parsed } from "../email/parsed.ts";
import type { ListCursor } from "../store/stored-email.ts";
import { isUuid } from "./email-id.ts";

/** A timestamp as PostgreSQL writes it, with microseconds. */
const timestamp = /^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d{1,6})?[+-]\d{2}(:\d{2}){0,2}$/;

/** Opaque to callers; holds nothing but a place in the order of creation. */
export function writeCursor({ createdAt, id }: ListCursor): string {
  return Buffer.from(JSON.stringify([createdAt, id])).toString("base64url");
}

/** The opposite of `writeCursor`, for text that anybody may have made up. */
export function readCursor(text: string): Parsed<ListCursor> {
  const fault = { fault: "expected a next_cursor of an earlier answer, got another text" };
  if (!/^[\w-]{1,200}$/.test(text)) return fault;
  try {
    const [createdAt, id, ...rest] = JSON.parse(Buffer.from(text, "base64url").toString());
    const isOurs =
      rest.length === 0 &&
      typeof createdAt === "string" &&
      timestamp.test(createdAt) &&
      typeof id === "string" &&
      isUuid(id);
    return isOurs ? { value: { createdAt, id } } : fault;
  } catch {
    // Not JSON, or no list: not ours.
    return fault;
  }
}
