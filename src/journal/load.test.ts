import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { headOf, sealedEntries } from "../testing/fixtures/sealed-entries.ts";
import { type JournalLoadResult, ofAda, runJournalLoad } from "../testing/product/journal-load.ts";
import { freshDatabase } from "../testing/servers/fresh-database.ts";
import { verifyChain } from "./verify.ts";

describe("with many writers, slow and aborted transactions and two sealers", () => {
  let load: JournalLoadResult;
  beforeAll(async () => {
    const { url } = await freshDatabase();
    const slow = { dawdlers: 3, dawdles: 9, dawdleMsMax: 250 };
    load = await runJournalLoad({ url, emails: 240, writers: 12, ...slow });
  }, 120_000);
  afterAll(() => load?.close());

  test("a reader with a cursor misses no position and sees none twice", () => {
    const positions = load.seen.map(({ position }) => position);
    expect(positions).toEqual(positions.map((_, index) => index + 1));
    expect(load.seenOfAda).toEqual(ofAda(load.seen));
  });

  test("it sees all that was acked, each email's entries in order, and nothing aborted", () => {
    const byEmail = new Map<string, string[]>();
    const byHand: string[] = [];
    for (const { emailId, action } of load.seen) {
      if (emailId === null) byHand.push(action);
      else byEmail.set(emailId, [...(byEmail.get(emailId) ?? []), action]);
    }
    expect(byEmail).toEqual(load.acked);
    expect(byHand.sort()).toEqual([...load.dawdled].sort());
  });

  test("every owner's chain verifies", async () => {
    for (const ownerId of new Set(load.seen.map((entry) => entry.ownerId))) {
      const entries = await sealedEntries(load.database, { limit: 100_000, ownerId });
      const verdict = verifyChain({ ownerId, entries, ...(await headOf(load.database, ownerId)) });
      const checked = load.seen.filter((entry) => entry.ownerId === ownerId).length;
      expect(verdict).toMatchObject({ ok: true, checked });
    }
  });

  test("the sealers stay less than a second behind", () => {
    // The median and not the worst: a busy machine may halt everything for a while.
    const sorted = load.lagsMs.toSorted((a, b) => a - b);
    expect(sorted.length).toBeGreaterThan(10);
    expect(sorted[Math.floor(sorted.length / 2)]).toBeLessThan(1_000);
  });
});
