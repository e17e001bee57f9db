import type { Claims, Database } from "./database.ts";

/** One entry of the journal that callers may hear of, with what its payload is made of. */
export interface StoredEvent {
  /** Place in the whole journal, gapless; null: not sealed yet, which only a timeline shows. */
  position: number | null;
  at: Date;
  ownerId: string;
  /** A sub, or a part of the program such as `worker:local`. */
  actor: string;
  action: string;
  emailId: string | null;
  /** Gapless place within the email, from 1. */
  sequence: number | null;
  /** Codes, states and counts; never content. */
  detail: Record<string, unknown>;
  /** As the email has them now. */
  tags: string[];
  metadata: Record<string, unknown>;
  /** null: the content was destroyed, or the event is of no email. */
  wrappedKey: string | null;
  /** Ciphertext of the recipient that the event is about; null: it is about none alone. */
  address: string | null;
  /** Ciphertext of what the next hop said to that recipient, else to the attempt. */
  reply: string | null;
}

/** An event that has its place in the journal. */
export type SealedEvent = StoredEvent & { position: number };

export interface EventFilter {
  /** Actions. */
  types: readonly string[];
  /** Of the email. */
  tag?: string;
  /** The email's, after the event. */
  status?: string;
  emailId?: string;
  /** A user gets its own whatever this says. */
  ownerId?: string;
  /** Inclusive. */
  atFrom?: Date;
  /** Exclusive. */
  atTo?: Date;
}

export interface EventQuery extends EventFilter {
  limit: number;
  /** How many of what matches are left out. Default: none. */
  offset?: number;
  isNewestFirst: boolean;
  /** Positions, both exclusive. */
  after?: number;
  before?: number;
  /** Entries that the call looks at, at most. Default 5,000: some 50 ms on a cold disk. */
  scanMax?: number;
}

export interface EventPage {
  events: SealedEvent[];
  /** How many were left out; fewer than asked for when the call has looked at enough. */
  skipped: number;
  /** The last position that was looked at, whether it matched or not: where the next page goes on. */
  reached: number;
  /** Nothing is left behind it. */
  isAtEnd: boolean;
}

/** Events of sealed entries. */
export interface Events {
  /**
   * In order of position, or the other way round. A page may hold fewer than `limit`, or none, and
   * still have a next one: a call looks at a bounded number of entries, whatever the filter.
   */
  read(query: EventQuery, as: Claims): Promise<EventPage>;
}

const scanMaxDefault = 5_000;

export function createEvents(database: Database): Events {
  return {
    async read(query, as) {
      const { events, skipped, reached, is_at_end } = (await database.rpc(
        "read_events",
        toArgs(query),
        as,
      )) as PageJson;
      const found = events.map(toEvent) as SealedEvent[];
      return { events: found, skipped, reached, isAtEnd: is_at_end };
    },
  };
}

interface PageJson {
  events: EventJson[];
  skipped: number;
  reached: number;
  is_at_end: boolean;
}

/** As `mailer.event_json` writes it. */
export interface EventJson {
  position: number | null;
  at: string;
  owner_id: string;
  actor: string;
  action: string;
  email_id: string | null;
  sequence: number | null;
  detail: Record<string, unknown>;
  tags: string[];
  metadata: Record<string, unknown>;
  wrapped_key: string | null;
  address: string | null;
  reply: string | null;
}

export function toEvent(json: EventJson): StoredEvent {
  return {
    position: json.position,
    at: new Date(json.at),
    ownerId: json.owner_id,
    actor: json.actor,
    action: json.action,
    emailId: json.email_id,
    sequence: json.sequence,
    detail: json.detail,
    tags: json.tags,
    metadata: json.metadata,
    wrappedKey: json.wrapped_key,
    address: json.address,
    reply: json.reply,
  };
}

function toArgs(query: EventQuery): object {
  return {
    limit: query.limit,
    offset: query.offset ?? 0,
    scan: query.scanMax ?? scanMaxDefault,
    is_newest_first: query.isNewestFirst,
    after: query.after ?? null,
    before: query.before ?? null,
    owner_id: query.ownerId ?? null,
    email_id: query.emailId ?? null,
    types: query.types,
    tag: query.tag ?? null,
    status: query.status ?? null,
    at_from: query.atFrom ?? null,
    at_to: query.atTo ?? null,
  };
}
