import { emailStates } from "../email/email.ts";
import { parseAddress } from "../email/parse-address.ts";
import { parseInstant } from "../email/parse-time.ts";
import type { Parsed } from "../email/parsed.ts";
import { quoteInput } from "../email/quote-input.ts";
import type { FieldFault } from "../errors.ts";
import type { EmailFilter, ListCursor } from "../store/stored-email.ts";
import type { ApiContext } from "./api-env.ts";
import { readCursor } from "./list-cursor.ts";
import { invalidQuery } from "./query.ts";

export const pageParameters = ["limit", "offset", "cursor"];
export const filterParameters = [
  ...["status", "tag", "metadata.*", "recipient", "scheduled_after", "scheduled_before"],
];

/** What else dead letters are found by. */
export const deadLetterParameters = ["group", "smtp_code"];

export interface PageQuery {
  limit: number;
  /** null: by cursor. */
  offset: number | null;
  cursor: ListCursor | null;
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
  const group = read("group", parseGroup);
  const smtpCode = read("smtp_code", (text) => parseWhole(text, 200, 599));
  if (group !== null) filter.group = group;
  if (smtpCode !== null) filter.smtpCode = smtpCode;
  const page = readPage(c, read, faults);
  if (faults.length > 0) throw invalidQuery(faults);
  return { filter, page };
}

/** The page of a list that has no filter. */
export function readPageQuery(c: ApiContext): PageQuery {
  const faults: FieldFault[] = [];
  const page = readPage(c, createReader(c, faults), faults);
  if (faults.length > 0) throw invalidQuery(faults);
  return page;
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
  const cursor = read("cursor", readCursor);
  const offset = read("offset", (text) => parseWhole(text, 0, offsetMax));
  if (c.req.query("offset") !== undefined && c.req.query("cursor") !== undefined) {
    faults.push({ pointer: "/cursor", detail: "expected offset or cursor, got both" });
  }
  return { limit, cursor, offset: c.req.query("cursor") === undefined ? (offset ?? 0) : null };
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

/** `deferred` is no state: it says that a pending email has been tried before. */
function parseStatus(
  text: string,
): Parsed<{ statuses: EmailFilter["statuses"]; isDeferred: boolean }> {
  if (text === "deferred") return { value: { statuses: null, isDeferred: true } };
  const state = emailStates.find((one) => one === text);
  if (state) return { value: { statuses: [state], isDeferred: false } };
  const expected = [...emailStates, "deferred"].join(", ");
  return { fault: `expected one of ${expected}, got ${quoteInput(text)}` };
}

function metadataOf(query: Record<string, string>): EmailFilter["metadata"] {
  const prefix = "metadata.";
  const entries = Object.entries(query)
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, value]) => [name.slice(prefix.length), value]);
  return entries.length === 0 ? null : Object.fromEntries(entries);
}
