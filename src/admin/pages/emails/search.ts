import { emailStates } from "../../../email/email.ts";
import { parseAddress } from "../../../email/parse-address.ts";
import { parseInstant } from "../../../email/parse-time.ts";
import { deadLetterStates } from "../../../email/states.ts";
import type { EmailFilter } from "../../../store/stored-email.ts";
import { instantOf } from "../local-time.ts";

/** One word of the search box that was understood. */
export interface Term {
  key: string;
  value: string;
  /** The text without it. */
  without: string;
}

export interface Search {
  /** As it was typed. */
  text: string;
  filter: EmailFilter;
  terms: Term[];
  /** One sentence for each word that was not understood. */
  faults: string[];
  /** An email's id stood there by itself. */
  emailId: string | null;
}

export interface SearchContext {
  /** IANA name of the zone in which a date without a time begins. */
  zone: string;
  /** Hides an address as it is stored. */
  blindIndexes: (address: string) => string[];
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** `key:value` or `key:"value with spaces"`, or a word by itself. */
const wordPattern = /(?:([\w.]+):)?("[^"]*"|\S+)/g;
const textMax = 500;

const noFilter: EmailFilter = {
  statuses: null,
  isDeferred: false,
  tag: null,
  metadata: null,
  addressIndex: null,
  scheduledAfter: null,
  scheduledBefore: null,
};

/** `to:bob@example.com status:failed tag:invoice before:2027-01-10`; every fault at once. */
export function readSearch(input: string, context: SearchContext): Search {
  const text = input.trim().slice(0, textMax);
  const search: Search = {
    text,
    filter: { ...noFilter },
    terms: [],
    faults: [],
    emailId: uuid.test(text) ? text.toLowerCase() : null,
  };
  if (search.emailId !== null) return search;
  for (const match of text.matchAll(wordPattern)) {
    const [whole, key, raw = ""] = match;
    const value = raw.replace(/^"|"$/g, "");
    const without = `${text.slice(0, match.index)}${text.slice(match.index + whole.length)}`;
    const fault = readTerm(search.filter, key ?? (whole.includes("@") ? "to" : ""), value, context);
    if (fault === null) {
      const term = { key: key ?? "to", value };
      search.terms.push({ ...term, without: without.replace(/\s+/g, " ").trim() });
    } else search.faults.push(fault);
  }
  return search;
}

/** Null: it was understood. */
function readTerm(
  filter: EmailFilter,
  key: string,
  value: string,
  { zone, blindIndexes }: SearchContext,
): string | null {
  switch (key) {
    case "to": {
      const parsed = parseAddress(value);
      if (!("value" in parsed)) return `to: expects a whole address such as bob@example.com.`;
      filter.addressIndex = blindIndexes(parsed.value.address);
      return null;
    }
    case "status":
      return readStatus(filter, value);
    case "tag":
      filter.tag = value;
      return null;
    case "owner":
      filter.owner = value;
      return null;
    case "group":
      filter.group = value;
      filter.statuses ??= [...deadLetterStates];
      filter.isOpen = true;
      return null;
    case "after":
    case "before": {
      const at = dateOf(value, zone);
      if (at === null) return `${key}: expects a date such as 2027-01-10, got ${value}.`;
      filter[key === "after" ? "scheduledAfter" : "scheduledBefore"] = at;
      return null;
    }
    default:
      return readOther(filter, key, value);
  }
}

function readOther(filter: EmailFilter, key: string, value: string): string | null {
  const name = /^metadata\.(.+)$/.exec(key)?.[1];
  if (name !== undefined) {
    filter.metadata = { ...filter.metadata, [name]: value };
    return null;
  }
  return key === ""
    ? `“${value}” was not searched for: subjects and texts are encrypted. Use to:, status:, tag:, after:, before: or metadata.key:.`
    : `There is no ${key}: to search by. Use to:, status:, tag:, after:, before: or metadata.key:.`;
}

/** Several by comma. */
function readStatus(filter: EmailFilter, value: string): string | null {
  if (value === "deferred") {
    filter.isDeferred = true;
    return null;
  }
  const names = value.split(",");
  const statuses = names.flatMap((name) => emailStates.find((state) => state === name) ?? []);
  if (statuses.length !== names.length) {
    return `status: expects one or more of ${[...emailStates, "deferred"].join(", ")}, got ${value}.`;
  }
  filter.statuses = statuses;
  return null;
}

function dateOf(text: string, zone: string): Date | null {
  const local = instantOf(/^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T00:00` : text, zone);
  if (local !== null) return local;
  const parsed = parseInstant(text);
  return "value" in parsed ? parsed.value : null;
}
