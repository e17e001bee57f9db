import { isOwnerId } from "../auth/principal.ts";
import { parseInstant } from "../email/parse-time.ts";
import type { Parsed } from "../email/parsed.ts";
import { quoteInput } from "../email/quote-input.ts";
import { AppError, type FieldFault } from "../errors.ts";
import type { AuditFilter } from "../store/audit.ts";
import { type ApiContext, principalOf } from "./api-env.ts";
import { isUuid } from "./email-id.ts";
import { createReader, limitDefault, limitMax, parseWhole, type Reader } from "./list-query.ts";
import { invalidQuery } from "./query.ts";

export const auditParameters = [
  ...["email_id", "action", "actor", "owner_id", "after", "before", "limit", "cursor"],
];

/** Filter and page of the audit trail, every fault at once. */
export function readAuditQuery(c: ApiContext): {
  filter: AuditFilter;
  limit: number;
  /** Position that the page ends before; null: the newest page. */
  cursor: number | null;
} {
  const faults: FieldFault[] = [];
  const read = createReader(c, faults);
  const filter = readFilter(read);
  const limit = read("limit", (text) => parseWhole(text, 1, limitMax)) ?? limitDefault;
  const cursor = read("cursor", parsePosition);
  const ownerId = read("owner_id", parseOwner);
  if (faults.length > 0) throw invalidQuery(faults);
  assertMayAsk(c, ownerId);
  return { filter: { ...filter, ...(ownerId && { ownerId }) }, limit, cursor };
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

/** The database gives a user its own entries whatever is asked for; this says so aloud. */
function assertMayAsk(c: ApiContext, ownerId: string | null): void {
  const { isAdmin, ownerId: self } = principalOf(c);
  if (isAdmin || ownerId === null || ownerId === self) return;
  throw new AppError("forbidden", { publicDetail: "Only an admin may ask for another owner's." });
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

function parseOwner(text: string): Parsed<string> {
  if (isOwnerId(text)) return { value: text };
  return { fault: `expected 1 to 255 characters, got ${quoteInput(text)}` };
}

function parsePosition(text: string): Parsed<number> {
  const position = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(position)) return { value: position };
  return { fault: "expected a next_cursor of an earlier answer, got another text" };
}
