import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { ProvenEntry } from "../store/journal.ts";
import { headsOf, journalOf, sealed } from "../testing/model/chain-of.ts";
import { rootOf } from "./checkpoint.ts";
import { type StateWitness, verifyJournal } from "./verify-journal.ts";

const entries = journalOf(["ada", "bob", "ada", "zoë", "bob", "ada", "ada", "bob"]);

/** What a checkpoint says that was made once `count` entries were there. */
function stateAfter(count: number, of: ProvenEntry[] = entries): StateWitness {
  const heads = headsOf(of.slice(0, count));
  return { ownerId: null, position: count, chains: heads.size, root: rootOf(heads) };
}

function without(...positions: number[]): ProvenEntry[] {
  return entries.filter(({ position }) => !positions.includes(position));
}

describe("the journal of all owners", () => {
  test("verifies in one pass, against heads and states of any moment", async () => {
    const states = [8, 0, 3, 7, 5].map((count) => stateAfter(count));
    const witnesses = { heads: headsOf(entries), states, isWhole: true };
    const verdict = await verifyJournal(entries, witnesses);
    expect(verdict).toEqual({ ok: true, checked: 8, chains: 3, position: 8 });
    expect(await verifyJournal([], { states: [stateAfter(0)], isWhole: true })).toMatchObject({
      ok: true,
    });
  });

  test("with an entry altered names its owner, number and position", async () => {
    const places = fc.integer({ min: 0, max: entries.length - 1 });
    const changes = fc.constantFrom<Partial<ProvenEntry>>(
      { actor: "somebody else" },
      { detail: { status: "failed" } },
      { hash: "ab".repeat(32) },
      { canonical: new TextEncoder().encode("{}") },
    );
    await fc.assert(
      fc.asyncProperty(places, changes, async (place, change) => {
        const forged = entries.map((entry, n) => (n === place ? { ...entry, ...change } : entry));
        const { ownerId, number, position } = entries[place] as ProvenEntry;
        const verdict = await verifyJournal(forged, { isWhole: true });
        expect(verdict).toMatchObject({ ok: false, broken: { ownerId, number, position } });
        expect(verdict.checked).toBe(place);
      }),
    );
  });

  test("with an entry removed names it: by its chain, or by the gap it leaves", async () => {
    const missing = { reason: "missing" };
    expect(await verifyJournal(without(3))).toMatchObject({
      broken: { ownerId: "ada", number: 2, ...missing },
    });
    // The last one of its owner leaves the chain sound.
    expect(await verifyJournal(without(4))).toMatchObject({ ok: true });
    expect(await verifyJournal(without(4), { isWhole: true })).toMatchObject({
      broken: { ownerId: null, position: 4, ...missing },
    });
    expect(await verifyJournal(without(4), { heads: headsOf(entries) })).toMatchObject({
      broken: { ownerId: "zoë", number: 1, ...missing },
    });
  });

  test("reordered or with an entry put in is broken where that was done", async () => {
    const [a, b, ...rest] = entries as [ProvenEntry, ProvenEntry, ...ProvenEntry[]];
    expect(await verifyJournal([a, ...rest.toReversed(), b])).toMatchObject({ ok: false });
    const put = { ...a, number: 1, position: 3, ownerId: "eve" };
    expect(await verifyJournal([a, b, put, ...rest])).toMatchObject({
      broken: { ownerId: "eve", number: 1 },
    });
    const swapped = entries.map((entry) => {
      const position = entry.position === 1 ? 2 : entry.position === 2 ? 1 : entry.position;
      return { ...entry, position };
    });
    swapped.sort((x, y) => x.position - y.position);
    expect(await verifyJournal(swapped)).toMatchObject({ ok: false, checked: 0 });
  });

  test("cut off at its end is betrayed by a checkpoint alone", async () => {
    for (let kept = 0; kept < entries.length; kept += 1) {
      const cut = entries.slice(0, kept);
      expect(await verifyJournal(cut, { isWhole: true })).toMatchObject({ ok: true });
      expect(await verifyJournal(cut, { states: [stateAfter(8)] })).toMatchObject({
        broken: { position: kept + 1, reason: "missing" },
      });
    }
  });

  test("rewritten and sealed anew is betrayed by any checkpoint from there on", async () => {
    for (let place = 0; place < entries.length; place += 1) {
      const rewritten = sealed(
        entries.map((entry, n) => (n === place ? { ...entry, action: "email.failed" } : entry)),
      );
      expect(await verifyJournal(rewritten, { isWhole: true })).toMatchObject({ ok: true });
      for (let count = 0; count <= entries.length; count += 1) {
        const verdict = await verifyJournal(rewritten, { states: [stateAfter(count)] });
        expect(verdict.ok).toBe(count <= place);
      }
    }
  });

  test("cut off and continued otherwise is betrayed by the checkpoint in between", async () => {
    const continued = sealed([...entries.slice(0, 6), ...journalOf(["eve", "eve", "eve"])]);
    expect(await verifyJournal(continued, { states: [stateAfter(6)] })).toMatchObject({ ok: true });
    expect(await verifyJournal(continued, { states: [stateAfter(8)] })).toMatchObject({
      broken: { number: null, position: 8, reason: "state" },
    });
  });

  test("a state of one owner's chain says nothing of the others", async () => {
    const own = headsOf(entries.filter(({ ownerId }) => ownerId === "ada"));
    const state = { ownerId: "ada", position: 7, chains: 1, root: rootOf(own) };
    expect(await verifyJournal(entries, { states: [state] })).toMatchObject({ ok: true });
    expect(await verifyJournal(without(8), { states: [state] })).toMatchObject({ ok: true });
    expect(await verifyJournal(without(7), { states: [state] })).toMatchObject({
      broken: { ownerId: "ada", reason: "state" },
    });
  });
});
