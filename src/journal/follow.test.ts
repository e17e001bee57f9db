import { describe, expect, test } from "bun:test";
import { AppError } from "../errors.ts";
import type { JournalEntry, JournalQuery } from "../store/journal.ts";
import { adminClaims } from "../testing/fixtures/new-email.ts";
import { rejection } from "../testing/fixtures/rejection.ts";
import { followJournal } from "./follow.ts";

const as = adminClaims;

function entry(position: number): JournalEntry {
  return {
    position,
    number: position,
    at: "2026-11-24T04:00:00.000000Z",
    ownerId: "ada",
    actor: "ada",
    origin: null,
    action: "test.entry",
    emailId: null,
    sequence: null,
    detail: {},
  };
}

/** Answers with what is in it; `faults` are thrown first, one per call. */
function journalOf(entries: JournalEntry[], faults: Error[] = []) {
  const queries: JournalQuery[] = [];
  return {
    queries,
    async read(query: JournalQuery) {
      queries.push(query);
      const fault = faults.shift();
      if (fault) throw fault;
      return entries.filter(({ position }) => position > query.after).slice(0, query.limit);
    },
  };
}

describe("following the journal", () => {
  test("goes on from a position, page by page, and then waits for what comes", async () => {
    const entries = [1, 2, 3, 4, 5].map(entry);
    const ending = new AbortController();
    const { signal } = ending;
    const seen: number[] = [];
    const options = { after: 2, as, signal, limit: 2, everyMs: 5, emailId: "one" };
    for await (const { position } of followJournal(journalOf(entries), options)) {
      seen.push(position);
      if (position === 5) entries.push(entry(6));
      if (position === 6) ending.abort();
    }
    expect(seen).toEqual([3, 4, 5, 6]);
  });

  test("asks for no more than its filter", async () => {
    const ending = new AbortController();
    const journal = journalOf([entry(1)]);
    const options = { after: 0, as, signal: ending.signal, emailId: "one", ownerId: "ada" };
    for await (const _ of followJournal(journal, options)) ending.abort();
    expect(journal.queries).toEqual([{ after: 0, limit: 500, emailId: "one", ownerId: "ada" }]);
  });

  test("is there at once when the sealer of this process has sealed", async () => {
    const entries: JournalEntry[] = [];
    const journal = journalOf(entries);
    const ending = new AbortController();
    const listeners = new Set<() => void>();
    const onSealed = (listener: () => void) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    };
    const options = { after: 0, as, signal: ending.signal, everyMs: 3_600_000, onSealed };
    const following = followJournal(journal, options);
    const first = following.next();
    while (journal.queries.length === 0) await Promise.resolve();
    entries.push(entry(1));
    for (const listener of listeners) listener();
    expect((await first).value?.position).toBe(1);
    await following.return();
    expect(listeners.size).toBe(0);
  });

  test("waits out an outage and misses nothing", async () => {
    const gone = () => new AppError("database_unavailable", { publicDetail: "gone" });
    const journal = journalOf([entry(1), entry(2)], [gone(), gone()]);
    const ending = new AbortController();
    const seen: number[] = [];
    const options = { after: 0, as, signal: ending.signal, everyMs: 1 };
    for await (const { position } of followJournal(journal, options)) {
      seen.push(position);
      if (position === 2) ending.abort();
    }
    expect(seen).toEqual([1, 2]);
  });

  test("throws what is no outage", async () => {
    const forbidden = new AppError("forbidden", { publicDetail: "no" });
    const { signal } = new AbortController();
    const following = followJournal(journalOf([], [forbidden]), { after: 0, as, signal });
    expect(await rejection(following.next())).toMatchObject({ code: "forbidden" });
  });

  test("ends at the signal, also while it waits", async () => {
    const ending = new AbortController();
    const journal = journalOf([]);
    const options = { after: 0, as, signal: ending.signal, everyMs: 3_600_000 };
    const end = followJournal(journal, options).next();
    while (journal.queries.length === 0) await Promise.resolve();
    ending.abort();
    expect((await end).done).toBe(true);
  });
});
