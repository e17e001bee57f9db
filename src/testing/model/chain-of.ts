import { createHash } from "node:crypto";
import { chainStart } from "../../journal/verify.ts";
import type { ChainHead, ProvenEntry } from "../../store/journal.ts";

/** A sound journal of these owners' entries in this order, hashed as the database does. */
export function journalOf(owners: readonly string[]): ProvenEntry[] {
  return sealed(
    owners.map((ownerId, index) => ({
      position: 0,
      number: 0,
      at: `2026-11-24T04:00:00.${String(index).padStart(6, "0")}Z`,
      ownerId,
      actor: "worker:local",
      origin: index % 2 === 0 ? null : "127.0.0.1",
      action: "email.sent",
      emailId: "019ab3f0-0000-7000-8000-000000000001",
      sequence: index,
      detail: { status: "sent", smtp_code: 250, where: "Zürich \u2028 漢字" },
      canonical: new Uint8Array(),
      hash: "",
    })),
  );
}

/** Gives entries new positions, numbers and hashes: what somebody does who rewrites history. */
export function sealed(entries: readonly ProvenEntry[]): ProvenEntry[] {
  const heads = new Map<string, ChainHead>();
  return entries.map(({ canonical: _, hash: __, ...entry }, index) => {
    const last = heads.get(entry.ownerId) ?? chainStart;
    const placed = { ...entry, position: index + 1, number: last.number + 1 };
    const { emailId: email_id, ownerId: owner_id, ...rest } = placed;
    const canonical = new TextEncoder().encode(JSON.stringify({ ...rest, owner_id, email_id }));
    const hash = createHash("sha256").update(last.hash, "hex").update(canonical).digest("hex");
    heads.set(entry.ownerId, { number: placed.number, hash });
    return { ...placed, canonical, hash };
  });
}

export function headsOf(entries: readonly ProvenEntry[]): Map<string, ChainHead> {
  return new Map(entries.map(({ ownerId, number, hash }) => [ownerId, { number, hash }]));
}
