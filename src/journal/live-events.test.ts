import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { emailEventTypes } from "../email/event-types.ts";
import { AppError } from "../errors.ts";
import { createLogger } from "../log.ts";
import type { EventQuery, Events, SealedEvent } from "../store/events.ts";
import { createLiveEvents, isHeardBy, type Subscriber } from "./live-events.ts";

const log = createLogger({ level: "fatal" });

function eventOf(position: number, ownerId = "ada", more: Partial<SealedEvent> = {}): SealedEvent {
  return {
    ...{ position, ownerId, at: new Date(0), actor: ownerId, action: "email.sent" },
    ...{ emailId: "one", sequence: position, detail: { status: "sent" }, tags: ["a"] },
    ...{ metadata: {}, wrappedKey: null, address: null, reply: null },
    ...more,
  };
}

/** A journal in memory; `faults` are thrown first, one per call. */
function journalOf(entries: SealedEvent[], faults: Error[] = []) {
  const queries: EventQuery[] = [];
  const events: Events = {
    async read(query) {
      queries.push(query);
      const fault = faults.shift();
      if (fault) throw fault;
      if (query.isNewestFirst) {
        return { events: [], skipped: 0, reached: entries.at(-1)?.position ?? 0, isAtEnd: true };
      }
      const found = entries.filter(({ position }) => position > (query.after ?? 0));
      const page = found.slice(0, query.limit);
      const reached = page.at(-1)?.position ?? query.after ?? 0;
      return { events: page, skipped: 0, reached, isAtEnd: page.length < query.limit };
    },
  };
  return { queries, events };
}

function listen(more: Partial<Subscriber> = {}) {
  const taken: number[] = [];
  const waiting = new Map<number, () => void>();
  let hasEnded = false;
  const subscriber: Subscriber = {
    ...{ ownerId: "ada", isAdmin: false, filter: { types: emailEventTypes } },
    take: ({ position }) => {
      taken.push(position);
      waiting.get(position)?.();
    },
    end: () => {
      hasEnded = true;
    },
    ...more,
  };
  return {
    ...{ taken, subscriber, hasEnded: () => hasEnded },
    async until(position: number) {
      if (taken.includes(position)) return;
      await new Promise<void>((resolve) => waiting.set(position, resolve));
    },
  };
}

describe("the wall between owners", () => {
  test("lets through what is the listener's own and matches, and nothing else", () => {
    const owners = fc.constantFrom("ada", "bob", "carl", "");
    const event = fc.record({
      ownerId: owners,
      emailId: fc.constantFrom("one", "two"),
      action: fc.constantFrom("email.sent", "email.bounced", "claim.returned"),
      tags: fc.subarray(["a", "b"]),
      status: fc.constantFrom("sent", "failed"),
    });
    const asked = fc.record(
      {
        ownerId: owners,
        emailId: fc.constantFrom("one", "two"),
        tag: fc.constantFrom("a", "b"),
        status: fc.constantFrom("sent", "failed"),
      },
      { requiredKeys: [] },
    );
    const property = fc.property(owners, fc.boolean(), event, asked, (self, isAdmin, one, by) => {
      const { status, ...rest } = one;
      const stored = eventOf(1, one.ownerId, { ...rest, detail: { status } });
      const filter = { types: ["email.sent"], ...by };
      const isHeard = isHeardBy(stored, { ownerId: self, isAdmin, filter });
      const isOwn = isAdmin || one.ownerId === self;
      const matches =
        one.action === "email.sent" &&
        (by.ownerId ?? one.ownerId) === one.ownerId &&
        (by.emailId ?? one.emailId) === one.emailId &&
        (by.tag === undefined || one.tags.includes(by.tag)) &&
        (by.status ?? status) === status;
      expect(isHeard).toBe(isOwn && matches);
    });
    fc.assert(property, { numRuns: 500 });
  });
});

describe("live events", () => {
  test("are read once for everybody, from where the first listener came", async () => {
    const entries = [1, 2].map((position) => eventOf(position));
    const { events, queries } = journalOf(entries);
    const live = createLiveEvents({ events, log, everyMs: 1 });
    const [ada, also, bob] = [listen(), listen(), listen({ ownerId: "bob" })];
    const subscriptions = [ada, also, bob].map((one) => live.subscribe(one.subscriber));
    expect(await subscriptions[0]?.from).toBe(2);
    entries.push(eventOf(3), eventOf(4, "bob"));
    await Promise.all([ada.until(3), also.until(3), bob.until(4)]);
    expect([ada.taken, also.taken, bob.taken]).toEqual([[3], [3], [4]]);
    expect(queries.filter(({ isNewestFirst }) => isNewestFirst)).toHaveLength(1);
    for (const one of subscriptions) one.end();
    expect(live.size).toBe(0);
  });

  test("are there at once when this process has sealed", async () => {
    const entries: SealedEvent[] = [];
    const listeners = new Set<() => void>();
    const onSealed = (listener: () => void) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    };
    const { events } = journalOf(entries);
    const live = createLiveEvents({ events, log, onSealed, everyMs: 3_600_000 });
    const ada = listen();
    const { from, end } = live.subscribe(ada.subscriber);
    await from;
    entries.push(eventOf(1));
    for (const listener of listeners) listener();
    await ada.until(1);
    end();
  });

  test("miss nothing over an outage of the database", async () => {
    const entries: SealedEvent[] = [];
    const faults: Error[] = [];
    const live = createLiveEvents({ events: journalOf(entries, faults).events, log, everyMs: 1 });
    const ada = listen();
    const { from, end } = live.subscribe(ada.subscriber);
    await from;
    faults.push(new AppError("database_unavailable", { publicDetail: "gone" }));
    entries.push(eventOf(1));
    await ada.until(1);
    expect(ada.hasEnded()).toBe(false);
    end();
  });

  test("begin anew for who comes after everybody has gone", async () => {
    const entries = [eventOf(1)];
    const live = createLiveEvents({ events: journalOf(entries).events, log, everyMs: 1 });
    const first = listen();
    const one = live.subscribe(first.subscriber);
    expect(await one.from).toBe(1);
    one.end();
    entries.push(eventOf(2));
    await new Promise(setImmediate);
    const second = listen();
    const two = live.subscribe(second.subscriber);
    expect(await two.from).toBe(2);
    entries.push(eventOf(3));
    await second.until(3);
    expect([first.taken, second.taken]).toEqual([[], [3]]);
    two.end();
  });

  test("end for everybody when the process stops or the journal refuses", async () => {
    const faults: Error[] = [];
    const live = createLiveEvents({ events: journalOf([], faults).events, log, everyMs: 1 });
    const ended = Promise.withResolvers<void>();
    const { from } = live.subscribe(listen({ end: ended.resolve }).subscriber);
    await from;
    faults.push(new Error("no such function"));
    await ended.promise;
    const [during, after] = [listen(), listen()];
    live.subscribe(during.subscriber);
    live.close();
    live.subscribe(after.subscriber);
    expect([during.hasEnded(), after.hasEnded()]).toEqual([true, true]);
  });
});
