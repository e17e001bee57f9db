import type { EmailHistory, History } from "./history.ts";
import { extraCopies } from "./oracle.ts";
import type { Hit, World } from "./world.ts";

/** A distribution of milliseconds; null when there was nothing to measure. */
export interface Spread {
  count: number;
  p50: number;
  p99: number;
  max: number;
}

export interface Measures {
  /** Copies beyond the first: in all, and those that an uncertain attempt had announced. */
  copies: number;
  announcedCopies: number;
  uncertain: number;
  recovery: Spread | null;
  /** Milliseconds from the end of an outage to the first email it had held up; the worst of all. */
  resumedMs: number | null;
  lateness: Spread | null;
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
  const copies = all.map((email) => ({ extra: extraCopies(email), uncertain: uncertainOf(email) }));
  const lateness = all.map(latenessMs).filter((value) => value !== null);
  return {
    copies: sum(copies.map(({ extra }) => extra)),
    announcedCopies: sum(copies.map(({ extra, uncertain }) => Math.min(extra, uncertain))),
    uncertain: sum(copies.map(({ uncertain }) => uncertain)),
    recovery: spread([
      ...world.hits.map((hit) => recoveryMs(hit, world.hits, emails)).filter(isNumber),
      ...all.flatMap((email) => outageRecoveryMs(email, world.outages)),
    ]),
    resumedMs: resumedMs(all, world.outages),
    lateness: spread(lateness),
    accept: spread(world.load.acceptMs),
  };
}

function uncertainOf({ attempts }: EmailHistory): number {
  return attempts.filter(({ outcome }) => outcome === "uncertain").length;
}

/** From the time it was due, or acknowledged if that came later, to its first acceptance. */
function latenessMs({ row, ackedAt, acceptances }: EmailHistory): number | null {
  const first = acceptances[0];
  if (!row || !first) return null;
  return Math.max(0, first.at - Math.max(row.scheduledAt, ackedAt ?? 0));
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

/** What was due before the end of an outage and was not sent by then recovers from its end on. */
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
