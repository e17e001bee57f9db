import { isAppError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { type Attempts, type Claim, type Settlement, settlementJson } from "../store/attempts.ts";
import type { Vouched, Vouches } from "../store/vouches.ts";
import type { ClaimsInMemory } from "./claims-in-memory.ts";

/**
 * Remembers what this process fenced and what came of it, for two minutes, and writes it again when
 * the database has failed over to a standby that may lack it: there, what was sent is pending.
 * `claim_due` grants nothing until every worker has done so, or is found dead.
 */
export interface Vouching {
  /** Learns from what passes, and says with a claim under which timeline it is asked for. */
  readonly attempts: Attempts;
  /** Under which all that this process sent is written; null: none was heard of yet. */
  readonly timeline: string | null;
  /** Told with every beat; null: the database cannot tell it. */
  heard(timeline: string | null): void;
  /** What came of this claim is known here. */
  knows(claim: Claim): boolean;
  /** Writes again what is known of these claims. Rejects with what the database throws. */
  write(claims: readonly Claim[]): Promise<void>;
  /** Resolves once what a new timeline asked for was tried. Never rejects. */
  idle(): Promise<void>;
}

export interface VouchingDeps {
  attempts: Attempts;
  vouches: Vouches;
  claimsInMemory: Pick<ClaimsInMemory, "list">;
  /** Returns what waits in the buffer, since those claims may be lost. Never rejects. */
  returnBuffered: () => Promise<void>;
  log: Logger;
  /** A steady clock in ms; a test gives its own. */
  now?: () => number;
}

/** A standby lacks its last moments; two minutes are long for that. */
const keptMs = 120_000;
/** Of about 300 bytes each; above 400 emails a second they are less than two minutes. */
const keptMax = 50_000;
/** Written in one call. */
const batch = 100;
/** An outcome that the database refuses so often is given up: nobody could claim meanwhile. */
const refusalsMax = 5;

export function createVouching(deps: VouchingDeps): Vouching {
  return new Voucher(deps);
}

/** A claim that was fenced here. */
interface Known extends Omit<Vouched, "settlement"> {
  /** JSON, which takes a tenth of the memory; null: the reply is awaited. */
  settlement: string | null;
  endedAt: number;
  /** Of the database that has it. */
  timeline: string;
  refusals: number;
}

class Voucher implements Vouching {
  readonly attempts: Attempts;
  timeline: string | null = null;
  /** Of the database now; another than `timeline` until all is written. */
  private current: string | null = null;
  /** Whose reply is awaited. */
  private readonly open = new Map<string, Known>();
  /** In the order of their ends. */
  private readonly ended = new Map<string, Known>();
  /** Claims of before a failover, which others may be granted now. */
  private revoked = new Set<string>();
  private readonly fencing = new Set<Promise<unknown>>();
  private running: Promise<void> | null = null;
  private readonly now: () => number;

  constructor(private readonly deps: VouchingDeps) {
    this.now = deps.now ?? performance.now.bind(performance);
    const { attempts } = deps;
    this.attempts = {
      ...attempts,
      claimDue: (request) => attempts.claimDue({ ...request, timeline: this.timeline }),
      fence: (id, token, messageDate) => this.fence({ id, token }, messageDate),
      settle: (settlement) => this.settle(settlement),
      release: (release) => {
        // No body was sent under it.
        this.open.delete(keyOf(release));
        return attempts.release(release);
      },
    };
  }

  heard(timeline: string | null): void {
    if (timeline === null || timeline === this.timeline || this.running) return;
    this.current = timeline;
    if (this.timeline === null) {
      this.timeline = timeline;
      return;
    }
    this.running = this.writeAll(timeline)
      .catch((error: unknown) => {
        const event = "what was sent before the failover is not written again yet; repeating";
        this.deps.log.error(event, { err: error });
      })
      .finally(() => {
        this.running = null;
      });
  }

  // Handed on as it is, without this object.
  readonly knows = (claim: Claim): boolean => this.ended.has(keyOf(claim));

  async write(claims: readonly Claim[]): Promise<void> {
    await this.writeKnown(claims.flatMap((claim) => this.ended.get(keyOf(claim)) ?? []));
  }

  async idle(): Promise<void> {
    await this.running;
  }

  private async fence(claim: Claim, messageDate: Date) {
    const { current: timeline } = this;
    const key = keyOf(claim);
    if (this.revoked.has(key)) return { granted: false, reason: "fence_failed" } as const;
    const asked = this.deps.attempts.fence(claim.id, claim.token, messageDate);
    const known = asked.then(({ granted }) => {
      if (!granted || timeline === null) return;
      this.open.set(key, {
        ...{ id: claim.id, token: claim.token, messageDate, timeline },
        ...{ settlement: null, endedAt: 0, refusals: 0 },
      });
    });
    // Also what is granted while the failover is heard of is known before all is written again.
    const end = known.catch(() => {}).finally(() => this.fencing.delete(end));
    this.fencing.add(end);
    const answer = await asked;
    await known;
    return answer;
  }

  private async settle(settlement: Settlement) {
    const key = keyOf(settlement);
    const known = this.open.get(key) ?? this.ended.get(key);
    if (!known) return await this.deps.attempts.settle(settlement);
    this.open.delete(key);
    known.settlement = JSON.stringify(settlementJson(wordless(settlement)));
    known.endedAt = this.now();
    this.ended.set(key, known);
    this.forgetOld();
    if (known.timeline === this.current) return await this.deps.attempts.settle(settlement);
    // Its fence may be lost, or written again meanwhile.
    const again = { ...vouchedOf(known), settlement: settlementJson(settlement) };
    const [answer] = await this.deps.vouches.write([again]);
    return answer?.settled ?? { applied: false as const, state: null };
  }

  private forgetOld(): void {
    for (const [key, { endedAt }] of this.ended) {
      if (this.ended.size <= keptMax && this.now() - endedAt <= keptMs) return;
      this.ended.delete(key);
    }
  }

  private async writeAll(timeline: string): Promise<void> {
    const { claimsInMemory, log, returnBuffered } = this.deps;
    log.warn("database failed over; writing again what this process sent before", {
      count: this.open.size + this.ended.size,
    });
    this.revoked = new Set(claimsInMemory.list().map(keyOf));
    await returnBuffered();
    await Promise.all(this.fencing);
    const all = [...this.open.values(), ...this.ended.values()];
    const found = await this.writeKnown(all.filter((known) => known.timeline !== timeline));
    for (const known of all) known.timeline = timeline;
    this.timeline = timeline;
    log.warn("all that this process sent before the failover is written", found);
  }

  /** One that is refused holds nobody else's up, and is given up in the end. */
  private async writeKnown(all: Known[]): Promise<{ count: number; missing: number }> {
    const found = { count: 0, missing: 0 };
    const write = async (some: Known[]) => {
      for (const { isAgain, isThere } of await this.deps.vouches.write(some.map(vouchedOf))) {
        if (isAgain) found.count += 1;
        if (!isThere) found.missing += 1;
      }
    };
    let refusal: unknown = null;
    for (let from = 0; from < all.length; from += batch) {
      const some = all.slice(from, from + batch);
      try {
        await write(some);
      } catch (error) {
        if (isUnavailable(error)) throw error;
        for (const one of some) {
          await write([one]).catch((why: unknown) => {
            if (isUnavailable(why) || !this.isGivenUp(one, why)) refusal = why;
          });
        }
      }
    }
    if (refusal !== null) throw refusal;
    return found;
  }

  private isGivenUp(known: Known, error: unknown): boolean {
    known.refusals += 1;
    if (known.refusals < refusalsMax) return false;
    this.deps.log.error("what came of an email cannot be written again; it may be sent twice", {
      ...{ email_id: known.id, claim_token: known.token, err: error },
    });
    return true;
  }
}

function isUnavailable(error: unknown): boolean {
  return isAppError(error, "database_unavailable");
}

function vouchedOf({ id, token, messageDate, settlement }: Known): Vouched {
  return {
    ...{ id, token, messageDate },
    settlement: settlement === null ? null : JSON.parse(settlement),
  };
}

/** For two minutes it is kept what came of an email, and not in which words. */
function wordless(settlement: Settlement): Settlement {
  const recipients = settlement.recipients.map((recipient) => ({ ...recipient, reply: null }));
  return { ...settlement, reply: null, failure: null, recipients };
}

function keyOf({ id, token }: Claim): string {
  return `${id}:${token}`;
}
