import type { EmailHistory, History } from "./history.ts";
import { announcedCopies, extraCopies } from "./oracle.ts";
import type { Hit, World } from "./world.ts";

/** A distribution of milliseconds; null when there was nothing to measure. */
export interface Spread {
  count: number;
  p50: number;
  p99: number;
  max: number;
}

export interface Measures {
  /** Copies beyond the first: in all, and those that were announced. */
  copies: number;
  announcedCopies: number;
  uncertain: number;
  recovery: Spread | null;
  /** Milliseconds from the end of an outage to the first email it had held up; the worst of all. */
  resumedMs: number | null;
  /** From the time an email was due to its first acceptance, times of harm included. */
  lateness: Spread | null;
  /** The same without times of harm: outages, and waits that the retry schedule asks for. */
  latenessBeyondHarm: Spread | null;
  /** That of a second owner's emails alone. */
  othersLateness: Spread | null;
  accept: Spread | null;
}

export function spread(values: number[]): Spread | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) =>
    Math.round(sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? 0);
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}

export function measure({ emails }: History, world: World): Measures {
  const all = [...emails.values()];
  const copies = all.map((email) => ({
    extra: extraCopies(email),
    announced: announcedCopies(email),
    uncertain: uncertainOf(email),
  }));
  const minuteMs = Number(world.env.RETRY_BASE_MS);
  const beyondHarm = (email: EmailHistory) => beyondHarmMs(email, world.outages, minuteMs);
  return {
    copies: sum(copies.map(({ extra }) => extra)),
    announcedCopies: sum(copies.map(({ extra, announced }) => Math.min(extra, announced))),
    uncertain: sum(copies.map(({ uncertain }) => uncertain)),
    recovery: spread([
      ...world.hits.map((hit) => recoveryMs(hit, world.hits, emails)).filter(isNumber),
      ...all.flatMap((email) => outageRecoveryMs(email, world.outages)),
    ]),
    resumedMs: resumedMs(all, world.outages),
    lateness: spread(all.map(latenessMs).filter(isNumber)),
    latenessBeyondHarm: spread(all.map(beyondHarm).filter(isNumber)),
    othersLateness: spread(
      all
        .filter(({ isOthers }) => isOthers)
        .map(beyondHarm)
        .filter(isNumber),
    ),
    accept: spread([...world.load.acceptMs, ...world.others.acceptMs]),
  };
}

function uncertainOf({ attempts }: EmailHistory): number {
  return attempts.filter(({ outcome }) => outcome === "uncertain").length;
}

interface Interval {
  from: number;
  to: number;
}

/** From the time it was due, or acknowledged if that came later, to its first acceptance. */
function wait({ row, ackedAt, acceptances }: EmailHistory): Interval | null {
  const first = acceptances[0];
  if (!row || !first) return null;
  const from = Math.max(row.scheduledAt, ackedAt ?? 0);
  return { from, to: Math.max(from, first.at) };
}

function latenessMs(email: EmailHistory): number | null {
  const waited = wait(email);
  return waited && waited.to - waited.from;
}

/** Share of a wait that the retry schedule may add by chance: its jitter is at most 25 %. */
const jitterMax = 1.25;

/**
 * Lateness that no harm explains: without outages, and without the waits after attempts that
 * failed, 2^n minutes with their jitter.
 */
export function beyondHarmMs(
  email: EmailHistory,
  outages: Interval[],
  minuteMs: number,
): number | null {
  const waited = wait(email);
  if (!waited) return null;
  const retries = email.attempts.map(({ endedAt }, index) => ({
    from: endedAt,
    to: endedAt + Math.min(2 ** (index + 1), 240) * minuteMs * jitterMax,
  }));
  return waited.to - waited.from - coveredMs(waited, [...outages, ...retries]);
}

/** How much of `whole` the others cover together; what overlaps counts once. */
function coveredMs(whole: Interval, others: Interval[]): number {
  let covered = 0;
  let from = whole.from;
  for (const other of others.toSorted((a, b) => a.from - b.from)) {
    const start = Math.max(from, other.from);
    const end = Math.min(whole.to, other.to);
    if (end <= start) continue;
    covered += end - start;
    from = end;
  }
  return covered;
}

/**
 * From the harm until the email was sent. When it was hit again before that, it had recovered
 * as soon as it was claimed again; null: it never did, which the oracle reports.
 */
function recoveryMs(hit: Hit, hits: Hit[], emails: Map<string, EmailHistory>): number | null {
  const email = emails.get(hit.emailId);
  const sentAt = email?.acceptances.find(({ at }) => at >= hit.at)?.at;
  if (!email || sentAt === undefined) return null;
  const isHitAgain = hits.some(
    ({ emailId, at }) => emailId === hit.emailId && at > hit.at && at < sentAt,
  );
  if (!isHitAgain) return sentAt - hit.at;
  const claim = email.journal.find(({ action, at }) => action === "email.sending" && at > hit.at);
  return (claim?.at ?? sentAt) - hit.at;
}

/** An email due before the end of an outage and not sent by then recovers from its end on. */
function outageRecoveryMs(email: EmailHistory, outages: World["outages"]): number[] {
  const first = email.acceptances[0];
  if (!first || !email.row) return [];
  const dueAt = Math.max(email.row.scheduledAt, email.ackedAt ?? 0);
  const hitBy = outages.findLast(({ to }) => dueAt < to && first.at >= to);
  return hitBy ? [first.at - hitBy.to] : [];
}

function resumedMs(emails: EmailHistory[], outages: World["outages"]): number | null {
  const firsts = outages.map((outage) =>
    Math.min(...emails.flatMap((email) => outageRecoveryMs(email, [outage]))),
  );
  const known = firsts.filter(Number.isFinite);
  return known.length > 0 ? Math.max(...known) : null;
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function isNumber(value: number | null): value is number {
  return value !== null;
}
