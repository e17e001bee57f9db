import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import fc from "fast-check";
import type { ChainHead, ProvenEntry } from "../store/journal.ts";
import { chainStart, verifyChain } from "./verify.ts";

/** A sound chain of an owner's entries, as the database makes it. */
function chainOf(count: number, ownerId = "ada"): ProvenEntry[] {
  const entries: ProvenEntry[] = [];
  let previous = chainStart.hash;
  for (let number = 1; number <= count; number += 1) {
    const entry = {
      position: number * 3,
      number,
      at: `2026-11-24T04:00:00.${String(number).padStart(6, "0")}Z`,
      ownerId,
      actor: "worker:local",
      origin: number % 2 === 0 ? null : "127.0.0.1",
      action: "email.sent",
      emailId: "019ab3f0-0000-7000-8000-000000000001",
      sequence: number,
      detail: { status: "sent", smtp_code: 250, where: "Zürich" },
    };
    const { emailId, ownerId: owner_id, ...rest } = entry;
    const json = JSON.stringify({ ...rest, owner_id, email_id: emailId });
    const canonical = new TextEncoder().encode(json);
    const hash = createHash("sha256").update(previous, "hex").update(canonical).digest("hex");
    entries.push({ ...entry, canonical, hash });
    previous = hash;
  }
  return entries;
}

function headOf(entries: ProvenEntry[]): ChainHead {
  const last = entries.at(-1);
  return last ? { number: last.number, hash: last.hash } : chainStart;
}

const forged: Partial<ProvenEntry>[] = [
  { position: 4711 },
  { at: "2026-11-24T04:00:00.999999Z" },
  { ownerId: "bob" },
  { actor: "someone else" },
  { origin: "192.0.2.1" },
  { action: "email.failed" },
  { emailId: null },
  { sequence: 99 },
  { detail: { status: "failed" } },
  { canonical: new TextEncoder().encode("{}") },
  { canonical: new Uint8Array([255, 254]) },
  { hash: "ab".repeat(32) },
];

describe("a chain", () => {
  test("that nobody touched verifies up to its head", () => {
    const entries = chainOf(20);
    const head = headOf(entries);
    expect(verifyChain({ ownerId: "ada", entries, head })).toEqual({ ok: true, checked: 20, head });
  });

  test("without entries verifies, unless a head says that there were some", () => {
    const nothing = { ownerId: "ada", entries: [] };
    expect(verifyChain(nothing)).toEqual({ ok: true, checked: 0, head: chainStart });
    const head = headOf(chainOf(1));
    expect(verifyChain({ ...nothing, head })).toMatchObject({ ok: false, firstBroken: 1 });
  });

  test("verifies in parts exactly as in one piece", () => {
    const entries = chainOf(10);
    const first = verifyChain({ ownerId: "ada", entries: entries.slice(0, 4) });
    if (!first.ok) throw new Error(first.reason);
    const rest = { ownerId: "ada", entries: entries.slice(4), head: headOf(entries) };
    expect(verifyChain({ ...rest, after: first.head })).toMatchObject({ ok: true, checked: 6 });
    expect(verifyChain(rest)).toMatchObject({ ok: false, firstBroken: 1, reason: "missing" });
  });

  test("with one altered entry names that entry, whichever field it was", () => {
    const cases = fc.tuple(fc.integer({ min: 1, max: 12 }), fc.constantFrom(...forged));
    fc.assert(
      fc.property(cases, ([number, change]) => {
        const entries = chainOf(12).map((entry) =>
          entry.number === number ? { ...entry, ...change } : entry,
        );
        const verdict = verifyChain({ ownerId: "ada", entries, head: headOf(chainOf(12)) });
        expect(verdict).toMatchObject({ ok: false, checked: number - 1, firstBroken: number });
      }),
    );
  });

  test("with an entry removed, doubled or swapped names the place", () => {
    const entries = chainOf(6);
    const head = headOf(entries);
    const [a, b, c, d, e, f] = entries as [ProvenEntry, ...ProvenEntry[]] & ProvenEntry[];
    const broken = (list: (ProvenEntry | undefined)[]) =>
      verifyChain({ ownerId: "ada", entries: list.filter((one) => one !== undefined), head });
    expect(broken([a, b, d, e, f])).toMatchObject({ firstBroken: 3, reason: "missing" });
    expect(broken([b, c, d, e, f])).toMatchObject({ firstBroken: 1, reason: "missing" });
    expect(broken([a, b, c, d, e])).toMatchObject({ firstBroken: 6, reason: "missing" });
    expect(broken([a, b, b, c, d, e, f])).toMatchObject({ firstBroken: 3 });
    expect(broken([a, c, b, d, e, f])).toMatchObject({ firstBroken: 2 });
  });

  test("of another owner is not taken for this one's", () => {
    const entries = chainOf(3, "bob");
    expect(verifyChain({ ownerId: "ada", entries })).toMatchObject({
      firstBroken: 1,
      reason: "altered",
    });
  });

  test("rewritten from its start is sound in itself and betrayed by the head kept elsewhere", () => {
    const head = headOf(chainOf(5));
    const rewritten = chainOf(5).map((entry) => ({ ...entry, detail: { status: "failed" } }));
    let hash = chainStart.hash;
    for (const entry of rewritten) {
      const json = JSON.parse(new TextDecoder().decode(entry.canonical));
      entry.canonical = new TextEncoder().encode(JSON.stringify({ ...json, detail: entry.detail }));
      hash = createHash("sha256").update(hash, "hex").update(entry.canonical).digest("hex");
      entry.hash = hash;
    }
    expect(verifyChain({ ownerId: "ada", entries: rewritten })).toMatchObject({ ok: true });
    expect(verifyChain({ ownerId: "ada", entries: rewritten, head })).toMatchObject({
      firstBroken: 5,
      reason: "hash",
    });
  });
});
