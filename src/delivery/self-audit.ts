import type { Logger } from "../log.ts";
import { createNudge, type Nudge, repeatSteadily } from "../runtime/repeat-steadily.ts";
import type { Claim } from "../store/attempts.ts";
import type { HeldClaims } from "../store/held-claims.ts";
import type { ClaimsInMemory } from "./claims-in-memory.ts";
import { type SettleDeps, settleOrphan } from "./settle.ts";
import type { Vouching } from "./vouching.ts";

/**
 * Finds emails that are claimed by this process in the database and held by nobody in its memory:
 * after an answer that was lost, a commit that came after its deadline, or a fault of our own.
 * Compares by id and token every 3 s, and at once after a lost answer.
 */
export interface SelfAudit {
  start(): void;
  /** One look. Rejects with what the database throws. */
  look(): Promise<void>;
  /** The findings since the process started. */
  report(): AuditReport;
  /** Ends the loop. */
  stop(): void;
}

export interface AuditReport {
  /** Claims held in memory now. */
  held: number;
  /** Not fenced and held by nobody: pending again. */
  returned: number;
  /** Fenced and held by nobody: settled as uncertain. */
  uncertain: number;
}

export interface SelfAuditDeps extends SettleDeps {
  claimsInMemory: ClaimsInMemory;
  claims: HeldClaims;
  /** Knows what came of claims that a failover brought back. */
  vouching: Pick<Vouching, "knows" | "write">;
  log: Logger;
  /** Given by `claimsInMemory` when an answer was lost. */
  nudge?: Nudge;
  /** A steady clock in ms; a test gives its own. */
  now?: () => number;
}

const everyMs = 3_000;
/**
 * An unfenced claim that two looks found without a holder, this far apart, is nobody's: longer than
 * any answer may take (4 s), so that also a call that could not name its emails has ended.
 */
const unheldMs = 5_000;
/** Rows of one call. */
const batch = 1_000;

export function createSelfAudit(deps: SelfAuditDeps): SelfAudit {
  const {
    claimsInMemory,
    claims,
    log,
    nudge = createNudge(),
    now = () => performance.now(),
  } = deps;
  const stopping = new AbortController();
  const totals = { returned: 0, uncertain: 0 };
  /** Claims without a holder, and since when. */
  let unheldSince = new Map<string, number>();

  /** Those that are nobody's for certain. */
  async function findUnheld(): Promise<Claim[]> {
    const lost = claimsInMemory.lostIds();
    const hasLostAny = claimsInMemory.takeLostAny();
    const listed = await claims.list(hasLostAny ? "all" : lost);
    // Asked only now: what was claimed before the list was made and answered since is held.
    const unheld = listed.filter((claim) => !claimsInMemory.has(claim));
    const before = unheldSince;
    unheldSince = new Map(
      unheld.map((claim) => [nameOf(claim), before.get(nameOf(claim)) ?? now()]),
    );
    return unheld.filter((claim) => {
      const since = unheldSince.get(nameOf(claim)) ?? now();
      const isLost = lost.includes(claim.id) || (hasLostAny && !claimsInMemory.isAskingForAny);
      return claim.isFenced || isLost || now() - since >= unheldMs;
    });
  }

  async function end(unheld: Claim[]): Promise<void> {
    const { returned, orphans } = await claims.end(unheld);
    if (returned > 0) deps.ticks.add({ delayMs: 0 });
    totals.returned += returned;
    if (returned > 0) log.warn("claims that nobody held returned", { count: returned });
    // What fails is found again by the next look.
    const settled = await Promise.allSettled(orphans.map((orphan) => settleOrphan(deps, orphan)));
    const written = settled.filter(({ status }) => status === "fulfilled").length;
    totals.uncertain += written;
    if (written > 0) log.error("fenced emails that nobody held are uncertain", { count: written });
    const failure = settled.find(({ status }) => status === "rejected");
    if (failure?.status === "rejected") throw failure.reason;
  }

  async function look(): Promise<void> {
    const found = await findUnheld();
    const known = found.filter((claim) => deps.vouching.knows(claim));
    await deps.vouching.write(known);
    const unheld = found.filter((claim) => !known.includes(claim));
    for (let from = 0; from < unheld.length; from += batch) {
      await end(unheld.slice(from, from + batch));
    }
  }

  return {
    start() {
      const { signal } = stopping;
      void repeatSteadily({ name: "self-audit", everyMs, step: look, log, signal, nudge });
    },
    look,
    report: () => ({ ...totals, held: claimsInMemory.count }),
    stop: () => stopping.abort(),
  };
}

function nameOf({ id, token }: Claim): string {
  return `${id}:${token}`;
}
