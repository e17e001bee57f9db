import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { ChainHead, ProvenEntry } from "../store/journal.ts";

/** Before an owner's first entry. */
export const chainStart: ChainHead = { number: 0, hash: "00".repeat(32) };

export type ChainVerdict =
  /** `head`: the last entry; the next part of a long chain is verified after it. */
  | { ok: true; checked: number; head: ChainHead }
  | { ok: false; checked: number; firstBroken: number; reason: BrokenLink };

export type BrokenLink =
  /** This number is not there: removed, or out of order. */
  | "missing"
  /** What the entry says is not what was hashed. */
  | "altered"
  /** The hash does not follow from the entry before. */
  | "hash";

export interface ChainPart {
  ownerId: string;
  /** In order of their number. */
  entries: Iterable<ProvenEntry>;
  /** What the part follows on. Default: the start of the chain. */
  after?: ChainHead;
  /**
   * Where the chain must have got to at least, as kept elsewhere or in the database's own
   * heads: without it nobody can tell that the newest entries were cut off.
   */
  head?: ChainHead;
}

/**
 * Recomputes an owner's chain and names the first number that is broken. Needs nothing but the
 * exported entries: hash = sha256(previous hash ‖ canonical), and canonical is JSON that says
 * what the entry says.
 */
export function verifyChain(part: ChainPart): ChainVerdict {
  let last = part.after ?? chainStart;
  let checked = 0;
  for (const entry of part.entries) {
    const reason = linkFault(entry, last, part);
    if (reason) return { ok: false, checked, firstBroken: last.number + 1, reason };
    last = { number: entry.number, hash: entry.hash };
    checked += 1;
  }
  if (part.head && last.number < part.head.number) {
    return { ok: false, checked, firstBroken: last.number + 1, reason: "missing" };
  }
  return { ok: true, checked, head: last };
}

/** The fault of an entry that should follow on `last`; null: none. */
export function linkFault(
  entry: ProvenEntry,
  last: ChainHead,
  { ownerId, head }: Pick<ChainPart, "ownerId" | "head">,
): BrokenLink | null {
  return brokenLink(entry, last, ownerId) ?? headFault(entry, head);
}

function brokenLink(entry: ProvenEntry, last: ChainHead, ownerId: string): BrokenLink | null {
  if (entry.number !== last.number + 1) return "missing";
  const hash = createHash("sha256").update(last.hash, "hex").update(entry.canonical).digest("hex");
  if (hash !== entry.hash) return "hash";
  return entry.ownerId === ownerId && saysWhatWasHashed(entry) ? null : "altered";
}

/** A chain rewritten from somewhere on is sound in itself, but ends in another hash. */
function headFault(entry: ProvenEntry, head: ChainHead | undefined): BrokenLink | null {
  return head && entry.number === head.number && entry.hash !== head.hash ? "hash" : null;
}

function saysWhatWasHashed(entry: ProvenEntry): boolean {
  const said = {
    position: entry.position,
    number: entry.number,
    at: entry.at,
    owner_id: entry.ownerId,
    actor: entry.actor,
    origin: entry.origin,
    action: entry.action,
    email_id: entry.emailId,
    sequence: entry.sequence,
    detail: entry.detail,
  };
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(entry.canonical);
    return isDeepStrictEqual(JSON.parse(text), said);
  } catch {
    // Bytes that are no JSON cannot say the same.
    return false;
  }
}
