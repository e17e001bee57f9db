import { emailEventTypes } from "../email/event-types.ts";
import { isAppError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { createBell } from "../runtime/bell.ts";
import { withoutCallBudget } from "../store/call-budget.ts";
import { partClaims } from "../store/database.ts";
import type { EventFilter, Events, SealedEvent } from "../store/events.ts";

/** A listener, as its credential says, and the events that it wants. */
export interface Subscriber {
  ownerId: string;
  isAdmin: boolean;
  filter: EventFilter;
  /** Called in order of position; must not throw. */
  take: (event: SealedEvent) => void;
  /** No more will come: the process stops, or the journal refused. */
  end: () => void;
}

export interface Subscription {
  /** Every event behind this position is taken, and none up to it. Rejects as the database does. */
  from: Promise<number>;
  end(): void;
}

/** Sealed events as they come: one reader of the journal for everybody who listens in this process. */
export interface LiveEvents {
  subscribe(subscriber: Subscriber): Subscription;
  /** Of the newest sealed entry. */
  readPosition(): Promise<number>;
  /** Ends every subscription, now and later ones. */
  close(): void;
  readonly size: number;
}

export interface LiveEventsDeps {
  events: Events;
  log: Logger;
  /** `onSealed` of this process's sealer, to be there at once. */
  onSealed?: (listener: () => void) => () => void;
  /** How often it looks for what other processes sealed, while anybody listens. Default 250. */
  everyMs?: number;
}

const pageSize = 500;
/** While the database is gone it is asked this much more seldom. */
const outageFactor = 8;

/**
 * The wall between owners for events that were read for all of them: what is somebody else's is
 * heard by admins alone, and by them only what they asked for.
 */
export function isHeardBy(
  event: SealedEvent,
  { ownerId, isAdmin, filter }: Pick<Subscriber, "ownerId" | "isAdmin" | "filter">,
): boolean {
  if (!isAdmin && event.ownerId !== ownerId) return false;
  if (filter.ownerId !== undefined && event.ownerId !== filter.ownerId) return false;
  if (filter.emailId !== undefined && event.emailId !== filter.emailId) return false;
  if (filter.tag !== undefined && !event.tags.includes(filter.tag)) return false;
  if (filter.status !== undefined && event.detail.status !== filter.status) return false;
  return filter.types.includes(event.action);
}

export function createLiveEvents(deps: LiveEventsDeps): LiveEvents {
  const { events, log, onSealed, everyMs = 250 } = deps;
  const subscribers = new Set<Subscriber>();
  const bell = createBell();
  let isClosed = false;
  /** While somebody listens: where the reader begins, and where it has got to once it knows. */
  let starting: Promise<number> | null = null;
  let position: number | null = null;

  function endAll(): void {
    const all = [...subscribers];
    subscribers.clear();
    bell.ring();
    for (const one of all) one.end();
  }

  /** Reads until nobody listens any more; in that very moment it is no more the one that reads. */
  async function read(first: number): Promise<void> {
    position = first;
    while (subscribers.size > 0) {
      const page = await readPage(events, position);
      for (const event of page?.events ?? []) {
        for (const one of subscribers) if (isHeardBy(event, one)) one.take(event);
      }
      position = page?.reached ?? position;
      if (page === null || page.isAtEnd) await bell.wait(everyMs * (page ? 1 : outageFactor));
    }
  }

  async function run(from: Promise<number>): Promise<void> {
    const stopListening = onSealed?.(bell.ring);
    try {
      await read(await from);
    } catch (error) {
      const level = isAppError(error, "database_unavailable") ? "warn" : "error";
      log[level]("reading live events failed", { component: "live-events", err: error });
      endAll();
    } finally {
      stopListening?.();
      position = null;
      starting = null;
    }
  }

  function start(): Promise<number> {
    const from = readPosition(events);
    void run(from);
    return from;
  }

  return {
    subscribe(subscriber) {
      if (isClosed) {
        subscriber.end();
        return { from: Promise.resolve(0), end() {} };
      }
      subscribers.add(subscriber);
      starting ??= withoutCallBudget(start);
      return {
        from: position === null ? starting : Promise.resolve(position),
        end() {
          if (subscribers.delete(subscriber) && subscribers.size === 0) bell.ring();
        },
      };
    },
    readPosition: () => readPosition(events),
    close() {
      isClosed = true;
      endAll();
    },
    get size() {
      return subscribers.size;
    },
  };
}

const claims = partClaims("follower");

async function readPosition(events: Events): Promise<number> {
  const query = { limit: 1, scanMax: 1, isNewestFirst: true, types: [] };
  return (await events.read(query, claims)).reached;
}

/** null while the database is gone. */
async function readPage(events: Events, after: number) {
  const query = { after, limit: pageSize, isNewestFirst: false, types: emailEventTypes };
  try {
    return await events.read(query, claims);
  } catch (error) {
    if (isAppError(error, "database_unavailable")) return null;
    throw error;
  }
}
