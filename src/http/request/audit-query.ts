import { parseInstant } from "../../email/parse-time.ts";
import type { Parsed } from "../../email/parsed.ts";
import { quoteInput } from "../../email/quote-input.ts";
import type { FieldFault } from "../../errors.ts";
import type { AuditFilter } from "../../store/audit.ts";
import { type ApiContext, principalOf } from "../api-env.ts";
import { isUuid } from "./email-id.ts";
import {
  assertMayAsk,
  createReader,
  limitDefault,
  limitMax,
  parseOwner,
  parseWhole,
  type Reader,
  readOffset,
} from "./list-query.ts";
import { invalidQuery } from "./query.ts";

export const auditParameters = [
  ...["email_id", "action", "actor", "owner", "owner_id", "after", "before", "limit"],
  ...["offset", "cursor"],
];

/** Filter and page of the audit trail, every fault at once. */
export function readAuditQuery(c: ApiContext): {
  filter: AuditFilter;
  limit: number;
  /** null: by cursor. */
  offset: number | null;
  /** Position that the page ends before; null: the newest page. */
  cursor: number | null;
} {
  const faults: FieldFault[] = [];
  const read = createReader(c, faults);
  const filter = readFilter(read);
  const limit = read("limit", (text) => parseWhole(text, 1, limitMax)) ?? limitDefault;
  const cursor = read("cursor", parsePosition);
  const offset = readOffset(c, read, faults);
  const ownerId = readOwner(read, faults);
  if (faults.length > 0) throw invalidQuery(faults);
  assertMayAsk(c, ownerId);
  return { filter: { ...filter, ...(ownerId && { ownerId }) }, limit, offset, cursor };
}

/** The page of a list that goes by positions of the journal. */
export function readPositionPage(c: ApiContext) {
  const faults: FieldFault[] = [];
  const read = createReader(c, faults);
  const limit = read("limit", (text) => parseWhole(text, 1, limitMax)) ?? limitDefault;
  const cursor = read("cursor", parsePosition);
  const offset = readOffset(c, read, faults);
  if (faults.length > 0) throw invalidQuery(faults);
  return { limit, offset, cursor };
}

/** Whose chain is asked for; null: everybody's. A user asks for its own without saying so. */
export function readChainOwner(c: ApiContext): string | null {
  const faults: FieldFault[] = [];
  const ownerId = createReader(c, faults)("owner_id", parseOwner);
  if (faults.length > 0) throw invalidQuery(faults);
  assertMayAsk(c, ownerId);
  const { isAdmin, ownerId: self } = principalOf(c);
  return isAdmin ? ownerId : self;
}

/** `owner` as in every list, or `owner_id` as in an entry; not two of them. */
function readOwner(read: Reader, faults: FieldFault[]): string | null {
  const owner = read("owner", parseOwner);
  const ownerId = read("owner_id", parseOwner);
  if (owner !== null && ownerId !== null && owner !== ownerId) {
    faults.push({ pointer: "/owner", detail: "expected owner or owner_id, got both" });
  }
  return owner ?? ownerId;
}

function readFilter(read: Reader): AuditFilter {
  const emailId = read("email_id", parseEmailId);
  const action = read("action", parseAction);
  const actor = read("actor", parseActor);
  const atFrom = read("after", parseInstant);
  const atTo = read("before", parseInstant);
  return {
    ...(emailId && { emailId }),
    ...(action && { action }),
    ...(actor && { actor }),
    ...(atFrom && { atFrom }),
    ...(atTo && { atTo }),
  };
}

function parseEmailId(text: string): Parsed<string> {
  if (isUuid(text)) return { value: text.toLowerCase() };
  return { fault: `expected the id of an email, got ${quoteInput(text)}` };
}

function parseAction(text: string): Parsed<string> {
  if (/^[a-z_]{1,40}\.[a-z_]{1,40}$/.test(text)) return { value: text };
  return { fault: `expected an action such as email.sent, got ${quoteInput(text)}` };
}

function parseActor(text: string): Parsed<string> {
  return parseOwner(text);
}

function parsePosition(text: string): Parsed<number> {
  const position = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(position)) return { value: position };
  return { fault: "expected a next_cursor of an earlier answer, got another text" };
}
