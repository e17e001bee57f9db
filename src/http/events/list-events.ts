import { publicEvent } from "../../journal/public-event.ts";
import type { Claims } from "../../store/database.ts";
import type { EventPage, EventQuery, Events, StoredEvent } from "../../store/events.ts";
import { answer } from "../answer.ts";
import { type ApiContext, claimsOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { emailIdOf, noSuchEmail } from "../request/email-id.ts";
import { type EventsQuery, readEventsQuery, wantsStream } from "../request/events-query.ts";
import type { EventStreams } from "./event-streams.ts";

type Deps = Pick<AppDeps, "emails" | "events" | "keyRing"> & { streams: EventStreams };

/**
 * GET /api/v1/events: what happened to the caller's emails, newest first, or with `after` oldest
 * first behind it; as `text/event-stream` what happens from now on, or behind `Last-Event-ID`.
 */
export function createListEvents({ events, keyRing, streams }: Deps) {
  return async (c: ApiContext): Promise<Response> => {
    const query = readEventsQuery(c);
    if (wantsStream(c)) return await streams.open(c, query);
    const { limit, offset, after } = query;
    const read = await readPage(events, query, claimsOf(c));
    const shown = read.events.map((event) => ({
      id: String(event.position),
      ...publicEvent(event, keyRing),
    }));
    const reached = String(read.reached);
    const page =
      after === null
        ? {
            limit,
            ...(offset === null ? {} : { offset }),
            next_cursor: read.isAtEnd ? null : reached,
          }
        : // Behind the newest one it goes on as well: more will come.
          { limit, next_cursor: null, next_after: reached };
    return answer(c, shown, { page });
  };
}

/** A call looks at a bounded number of entries: a large offset takes several. */
async function readPage(events: Events, query: EventsQuery, claims: Claims): Promise<EventPage> {
  let toSkip = query.offset ?? 0;
  let place: Partial<EventQuery> & Pick<EventQuery, "isNewestFirst"> = placeOf(query);
  for (;;) {
    const asked = { ...query.filter, ...place, limit: query.limit, offset: toSkip };
    const read = await events.read(asked, claims);
    toSkip -= read.skipped;
    if (toSkip === 0 || read.isAtEnd) return read;
    place = { ...place, before: read.reached };
  }
}

function placeOf({ after, cursor }: EventsQuery) {
  if (after !== null) return { isNewestFirst: false, after };
  return { isNewestFirst: true, ...(cursor !== null && { before: cursor }) };
}

/**
 * GET /api/v1/emails/{id}/events: the timeline of one email in order, also what is not sealed yet;
 * as `text/event-stream` the whole of it, and then what comes.
 */
export function createGetEvents({ emails, keyRing, streams }: Deps) {
  return async (c: ApiContext): Promise<Response> => {
    const emailId = emailIdOf(c);
    const query = readEventsQuery(c);
    const events = await emails.events(emailId, claimsOf(c));
    if (!events) throw noSuchEmail();
    if (wantsStream(c)) {
      const filter = { ...query.filter, emailId };
      return await streams.open(c, { ...query, filter, after: query.after ?? 0 });
    }
    const wanted = events.filter((event) => isWanted(event, query, c.req.query("type")));
    const { limit, offset } = query;
    const rest = wanted.slice(offset ?? 0);
    const shown = rest.slice(0, limit);
    const next = rest.length > shown.length ? shown.at(-1)?.sequence : undefined;
    const by = offset === null ? {} : { offset };
    const page = { limit, ...by, next_cursor: next === undefined ? null : String(next) };
    const timeline = shown.map((event) => ({
      id: event.position === null ? null : String(event.position),
      ...publicEvent(event, keyRing),
      sequence: event.sequence,
      at: event.at,
      actor: event.actor,
      action: event.action,
      detail: withInstants(event.detail),
    }));
    return answer(c, timeline, { page });
  };
}

/** Its cursor is a sequence: what is not sealed yet has no position. */
function isWanted(event: StoredEvent, query: EventsQuery, type: string | undefined): boolean {
  const { filter, cursor, after } = query;
  if (cursor !== null && (event.sequence ?? 0) <= cursor) return false;
  if (after !== null && event.position !== null && event.position <= after) return false;
  if (filter.status !== undefined && event.detail.status !== filter.status) return false;
  // Unless asked for some, a timeline tells of everything: an email that was shredded, say.
  return type === undefined || filter.types.includes(event.action);
}

/** The database writes instants its own way; answers are UTC with milliseconds. */
function withInstants(detail: Record<string, unknown>): Record<string, unknown> {
  const entries = Object.entries(detail).map(([name, value]) =>
    name.endsWith("_at") && typeof value === "string"
      ? [name, new Date(value).toISOString()]
      : [name, value],
  );
  return Object.fromEntries(entries);
}
