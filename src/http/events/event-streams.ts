import type { Authenticator } from "../../auth/jwt.ts";
import type { KeyRing } from "../../crypto/key-ring.ts";
import { AppError, isAppError } from "../../errors.ts";
import type { LiveEvents } from "../../journal/live-events.ts";
import { publicEvent } from "../../journal/public-event.ts";
import type { Logger } from "../../log.ts";
import { liftCallBudget } from "../../store/call-budget.ts";
import type { Claims } from "../../store/database.ts";
import type { Events, SealedEvent } from "../../store/events.ts";
import { type ApiContext, claimsOf, principalOf } from "../api-env.ts";
import { type EventsQuery, eventStreamType } from "../request/events-query.ts";
import { createEventStream, type EventStream } from "./event-stream.ts";

/** The open `text/event-stream` answers of this process. */
export interface EventStreams {
  /** Answers with one that begins behind `after`, or with what is sealed after the answer. */
  open(c: ApiContext, query: EventsQuery): Promise<Response>;
  readonly size: number;
}

export interface EventStreamsDeps {
  events: Events;
  liveEvents: LiveEvents;
  authenticator: Pick<Authenticator, "authenticate">;
  keyRing: KeyRing;
  log: Logger;
  /** Milliseconds of a clock that never goes back. */
  monotonicMs?: () => number;
}

/** A proxy closes what is silent for longer; RFC-less, but 15 s is what WHATWG's note says. */
const heartbeatMs = 15_000;
/** How often it is looked whether a credential still counts. */
const lookMs = 1_000;
/** An API key and a session are asked for in the database, a token is not. */
const keyLookMs = 5_000;
const streamsOfOwnerMax = 2_000;
const streamsMax = 10_000;
const pageSize = 200;

interface Open {
  stream: EventStream;
  ownerId: string;
  /** Whether its credential still counts; rejects when nobody can tell. */
  isStillIn: () => Promise<boolean>;
  lookEveryMs: number;
  lookedAt: number;
}

export function createEventStreams(deps: EventStreamsDeps): EventStreams {
  const { monotonicMs = () => performance.now() } = deps;
  const open = new Set<Open>();
  let timer: Timer | null = null;

  function remove(one: Open): void {
    open.delete(one);
    if (open.size > 0 || timer === null) return;
    clearInterval(timer);
    timer = null;
  }

  /** Ends it when its credential does; a database that is gone ends nothing. */
  async function look(one: Open, now: number): Promise<void> {
    if (now - one.lookedAt < one.lookEveryMs) return;
    one.lookedAt = now;
    const isIn = await one.isStillIn().catch(() => true);
    if (!isIn) one.stream.end();
  }

  function lookAround(): void {
    const now = monotonicMs();
    for (const one of open) {
      one.stream.beat(now, heartbeatMs);
      void look(one, now);
    }
  }

  function add(c: ApiContext, stream: EventStream): Open {
    const { ownerId, credential } = principalOf(c);
    const { authorization } = c.var;
    const isStillIn = c.env.isStillIn ?? (() => isAuthentic(deps, authorization));
    const lookEveryMs = credential === "jwt" ? lookMs : keyLookMs;
    const one = { stream, ownerId, isStillIn, lookEveryMs, lookedAt: monotonicMs() };
    open.add(one);
    timer ??= setInterval(lookAround, lookMs);
    return one;
  }

  return {
    async open(c, query) {
      const { ownerId } = principalOf(c);
      assertRoom(open, ownerId);
      // Bun resets a request that is silent for its idle timeout.
      c.env.server?.timeout(c.req.raw, 0);
      liftCallBudget();
      const frame = (event: SealedEvent) => frameOf(event, deps.keyRing);
      const stream = createEventStream({ frame, monotonicMs });
      const one = add(c, stream);
      c.req.raw.signal.addEventListener("abort", stream.end, { once: true });
      const subscriber = { ...principalOf(c), filter: query.filter };
      const begun = Promise.withResolvers<void>();
      const feeding = { ...deps, query, subscriber, as: claimsOf(c), onBegun: begun.resolve };
      void feed(stream, feeding).finally(() => remove(one));
      await begun.promise;
      return c.body(stream.body, 200, {
        "content-type": `${eventStreamType}; charset=utf-8`,
        "cache-control": "no-store",
        // nginx gathers an answer before it passes it on, unless told otherwise.
        "x-accel-buffering": "no",
      });
    },
    get size() {
      return open.size;
    },
  };
}

function assertRoom(open: ReadonlySet<Open>, ownerId: string): void {
  const own = [...open].filter((one) => one.ownerId === ownerId).length;
  if (own < streamsOfOwnerMax && open.size < streamsMax) return;
  throw new AppError("overloaded", {
    publicDetail: `There are ${open.size} open streams of events in this process, ${own} of them yours: close some.`,
    retryAfterSeconds: 30,
  });
}

async function isAuthentic(
  { authenticator }: Pick<EventStreamsDeps, "authenticator">,
  authorization: string | undefined,
): Promise<boolean> {
  try {
    await authenticator.authenticate(authorization);
    return true;
  } catch (error) {
    // A database that is gone ends nothing.
    return !isAppError(error, "unauthorized");
  }
}

interface Feeding extends EventStreamsDeps {
  query: EventsQuery;
  subscriber: { ownerId: string; isAdmin: boolean; filter: EventsQuery["filter"] };
  as: Claims;
  /** From now on no event is missed by the caller; or the stream has ended. */
  onBegun: () => void;
}

/** Sends earlier events, read under the caller's own claims, then live ones, until the stream ends. Never rejects. */
async function feed(stream: EventStream, feeding: Feeding): Promise<void> {
  const { query, subscriber, liveEvents, log, onBegun } = feeding;
  try {
    let reached = query.after;
    if (reached !== null) {
      onBegun();
      reached = Math.min(reached, await liveEvents.readPosition());
      reached = await replay(stream, reached, feeding);
    }
    const { from, end } = liveEvents.subscribe({
      ...subscriber,
      take: stream.hold,
      end: stream.end,
    });
    try {
      const first = await from;
      onBegun();
      // Events may have been sealed between the replay and the subscription.
      if (reached !== null) await replay(stream, reached, feeding);
      stream.goLive(first);
      await stream.ended;
    } finally {
      end();
    }
  } catch (error) {
    const level = isAppError(error) ? "warn" : "error";
    log[level]("a stream of events broke off", { component: "event-streams", err: error });
  } finally {
    stream.end();
    onBegun();
  }
}

/** Sends what matches behind a position, as fast as it is read; answers how far it got. */
async function replay(stream: EventStream, after: number, feeding: Feeding): Promise<number> {
  const { events, query, as } = feeding;
  let reached = after;
  while (!stream.isEnded) {
    const page = await events.read(
      { ...query.filter, after: reached, limit: pageSize, isNewestFirst: false },
      as,
    );
    for (const event of page.events) stream.send(event);
    reached = page.reached;
    if (page.isAtEnd) break;
    await stream.drained();
  }
  return reached;
}

const encoder = new TextEncoder();
/** Made once for everybody who hears of it. */
const frames = new WeakMap<SealedEvent, Uint8Array>();

function frameOf(event: SealedEvent, keyRing: KeyRing): Uint8Array {
  const known = frames.get(event);
  if (known) return known;
  const text = JSON.stringify(publicEvent(event, keyRing));
  const frame = encoder.encode(`id: ${event.position}\nevent: ${event.action}\ndata: ${text}\n\n`);
  frames.set(event, frame);
  return frame;
}
