import { isOwnerId } from "../../auth/principal.ts";
import { emailStates } from "../../email/email.ts";
import { parseAddress } from "../../email/parse-address.ts";
import { parseInstant } from "../../email/parse-time.ts";
import type { Parsed } from "../../email/parsed.ts";
import { quoteInput } from "../../email/quote-input.ts";
import { AppError, type FieldFault } from "../../errors.ts";
import type { EmailFilter, ListCursor } from "../../store/stored-email.ts";
import { type ApiContext, principalOf } from "../api-env.ts";
import { readCursor } from "./list-cursor.ts";
import { invalidQuery } from "./query.ts";

export const pageParameters = ["limit", "offset", "cursor"];
export const filterParameters = [
  ...["status", "tag", "metadata.*", "recipient", "scheduled_after", "scheduled_before"],
  ...["updated_after", "owner"],
];
export const sortParameters = ["sort"];

/** What else dead letters are found by. */
export const deadLetterParameters = ["group", "smtp_code"];

export interface PageQuery {
  limit: number;
  /** null: by cursor. */
  offset: number | null;
  cursor: ListCursor | null;
  /** Absent: newest first by creation. */
  sort?: "scheduled_at";
}

export const limitDefault = 20;
export const limitMax = 100;
/** PostgreSQL's integer. */
export const offsetMax = 2_147_483_647;

/** Filter and page of a list, every fault at once. `blindIndexes` hides the recipient's address. */
export function readListQuery(
  c: ApiContext,
  blindIndexes: (address: string) => string[],
): { filter: EmailFilter; page: PageQuery } {
  const faults: FieldFault[] = [];
  const read = createReader(c, faults);
  const status = read("status", parseStatus);
  const recipient = read("recipient", parseAddress);
  const filter: EmailFilter = {
    statuses: status?.statuses ?? null,
    isDeferred: status?.isDeferred ?? false,
    tag: c.req.query("tag") ?? null,
    metadata: metadataOf(c.req.query()),
    addressIndex: recipient && blindIndexes(recipient.address),
    scheduledAfter: read("scheduled_after", parseInstant),
    scheduledBefore: read("scheduled_before", parseInstant),
  };
  const updatedAfter = read("updated_after", parseInstant);
  if (updatedAfter !== null) filter.updatedAfter = updatedAfter;
  const owner = read("owner", parseOwner);
  if (owner !== null) filter.owner = owner;
  const group = read("group", parseGroup);
  const smtpCode = read("smtp_code", (text) => parseWhole(text, 200, 599));
  if (group !== null) filter.group = group;
  if (smtpCode !== null) filter.smtpCode = smtpCode;
  const page = readPage(c, read, faults);
  if (faults.length > 0) throw invalidQuery(faults);
  assertMayAsk(c, owner);
  return { filter, page };
}

/** The database gives a user its own whatever is asked for; this says so aloud. */
export function assertMayAsk(c: ApiContext, owner: string | null): void {
  const { isAdmin, ownerId: self } = principalOf(c);
  if (isAdmin || owner === null || owner === self) return;
  throw new AppError("forbidden", { publicDetail: "Only an admin may ask for another owner's." });
}

export function parseOwner(text: string): Parsed<string> {
  if (isOwnerId(text)) return { value: text };
  return { fault: `expected 1 to 255 characters, got ${quoteInput(text)}` };
}

/** The page of a list that has no filter. */
export function readPageQuery(c: ApiContext): PageQuery {
  const faults: FieldFault[] = [];
  const page = readPage(c, createReader(c, faults), faults);
  if (faults.length > 0) throw invalidQuery(faults);
  return page;
}

/** The same, of an owner whom an admin may name; null: whomever the caller sees. */
export function readOwnedPageQuery(c: ApiContext): PageQuery & { ownerId: string | null } {
  const faults: FieldFault[] = [];
  const read = createReader(c, faults);
  const ownerId = read("owner", parseOwner);
  const page = readPage(c, read, faults);
  if (faults.length > 0) throw invalidQuery(faults);
  assertMayAsk(c, ownerId);
  return { ...page, ownerId };
}

export type Reader = <T>(name: string, parse: (text: string) => Parsed<T>) => T | null;

/** Reads one parameter; null when it is absent or at fault. */
export function createReader(c: ApiContext, faults: FieldFault[]): Reader {
  return (name, parse) => {
    const text = c.req.query(name);
    if (text === undefined) return null;
    const parsed = parse(text);
    if ("value" in parsed) return parsed.value;
    faults.push({ pointer: `/${name}`, detail: parsed.fault });
    return null;
  };
}

function readPage(c: ApiContext, read: Reader, faults: FieldFault[]): PageQuery {
  const limit = read("limit", (text) => parseWhole(text, 1, limitMax)) ?? limitDefault;
  const sort = read("sort", parseSort) ?? "-created_at";
  const sorted = sort === "scheduled_at" ? { sort } : {};
  const cursor = read("cursor", (text) => readCursor(text, sorted.sort));
  return { limit, cursor, offset: readOffset(c, read, faults), ...sorted };
}

/** Null: by cursor, which goes before. Together they are a fault. */
export function readOffset(c: ApiContext, read: Reader, faults: FieldFault[]): number | null {
  const offset = read("offset", (text) => parseWhole(text, 0, offsetMax));
  if (c.req.query("cursor") === undefined) return offset ?? 0;
  if (c.req.query("offset") !== undefined) {
    faults.push({ pointer: "/cursor", detail: "expected offset or cursor, got both" });
  }
  return null;
}

const sorts = ["-created_at", "scheduled_at"] as const;

function parseSort(text: string): Parsed<(typeof sorts)[number]> {
  const sort = sorts.find((one) => one === text);
  if (sort !== undefined) return { value: sort };
  return { fault: `expected one of ${sorts.join(", ")}, got ${quoteInput(text)}` };
}

/** A group's name as `/dead-letters/groups` answers it. */
export function parseGroup(input: unknown): Parsed<string> {
  if (typeof input === "string" && /^[\w-]{1,64}$/.test(input)) return { value: input };
  const expected = "the group of an answer of /dead-letters/groups";
  return { fault: `expected ${expected}, got ${quoteInput(input)}` };
}

export function parseWhole(text: string, min: number, max: number): Parsed<number> {
  const number = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= min && number <= max) return { value: number };
  return { fault: `expected a whole number from ${min} to ${max}, got ${quoteInput(text)}` };
}

/**
 * One or several by comma. `deferred` is no state: it says that a pending email has been tried
 * before.
 */
function parseStatus(
  text: string,
): Parsed<{ statuses: EmailFilter["statuses"]; isDeferred: boolean }> {
  const names = [...new Set(text.split(","))];
  const isDeferred = names.includes("deferred");
  const statuses = emailStates.filter((state) => names.includes(state));
  if (statuses.length + Number(isDeferred) === names.length) {
    return { value: { statuses: statuses.length === 0 ? null : statuses, isDeferred } };
  }
  const expected = [...emailStates, "deferred"].join(", ");
  const several = "several separated by commas";
  return { fault: `expected one of ${expected}, or ${several}, got ${quoteInput(text)}` };
}

function metadataOf(query: Record<string, string>): EmailFilter["metadata"] {
  const prefix = "metadata.";
  const entries = Object.entries(query)
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, value]) => [name.slice(prefix.length), value]);
  return entries.length === 0 ? null : Object.fromEntries(entries);
}
