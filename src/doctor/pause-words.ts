import { type Pause, type RestoredReport, restoredCountMax } from "../store/pauses.ts";
import type { HealthComponent } from "./health-of-work.ts";

/** Beyond these a number says enough; GET /api/v1/queue-stats has them all. */
const namedMax = 3;

const resumeWith = "resume with `taskforce-mailer resume` or POST /api/v1/resume";
const decideWith =
  "`taskforce-mailer resume --restored` sends them, `taskforce-mailer resume --restored --hold` " +
  "holds each of them for a decision";

/** Tells who paused what, since when and why, and how to resume; empty: nothing is paused. */
export function pauseWords(pauses: readonly Pause[]): string {
  return wordsOf(pauses, (others) => {
    const named = others.slice(0, namedMax).map((pause) => `${sinceOf(pause)} by ${byOf(pause)}`);
    const more = others.length - named.length;
    return [...named, ...(more > 0 ? [`${more} more`] : [])];
  });
}

/**
 * Whether anybody has stopped sending: what is due waits, and nothing is wrong with it. /health asks
 * for no credential, so neither owners nor who paused them, nor why, are named in it.
 */
export function checkPauses(pauses: readonly Pause[]): HealthComponent {
  const words = wordsOf(pauses, (others) => {
    const regions = others.filter(({ kind }) => kind === "region");
    const ownerCount = others.length - regions.length;
    const named = regions.slice(0, namedMax).map(sinceOf);
    const more = regions.length - named.length;
    return [
      ...named,
      ...(more > 0 ? [`${more} more regions`] : []),
      ...(ownerCount > 0 ? [`sending of ${ownerCount} owner(s) is paused`] : []),
    ];
  });
  return words === "" ? { status: "ok" } : { status: "degraded", detail: words };
}

/**
 * Which emails a restored or copied database may send again, and how many; for a person who may know
 * of everybody's.
 */
export function restoredWords({ knowsUntil, noticedAt, ...report }: RestoredReport): string {
  const span = `between ${knowsUntil.toISOString()}, up to which it knows what was sent, and now`;
  const seen = `this database was restored or copied (noticed at ${noticedAt.toISOString()})`;
  if (report.first === null || report.lastDueAt === null) {
    return `${seen}; no email was due ${span}`;
  }
  const first = `the first ${report.first.id} at ${report.first.dueAt.toISOString()}`;
  const last = `the last at ${report.lastDueAt.toISOString()}`;
  return (
    `${seen}; ${countWords(report.count)} due ${span} and may have ` +
    `been sent already: ${first}, ${last}`
  );
}

/** The pause of a restored database first: it stops everything, and is ended in another way. */
function wordsOf(pauses: readonly Pause[], nameOthers: (others: Pause[]) => string[]): string {
  const restored = pauses.find(({ kind }) => kind === "database");
  const others = nameOthers(pauses.filter(({ kind }) => kind !== "database"));
  return [
    ...(restored === undefined ? [] : [everywhereOf(restored)]),
    ...(others.length === 0 ? [] : [...others, resumeWith]),
  ].join("; ");
}

function everywhereOf({ pausedAt, restored }: Pause): string {
  const since = `all sending is paused since ${pausedAt.toISOString()}: this database was restored`;
  const which =
    restored === undefined
      ? "what was due after its dump may have been sent already"
      : `${countWords(restored.count)} due after ${restored.knowsUntil.toISOString()}, up to which it ` +
        "knows what was sent, and may have been sent already";
  return `${since} or copied; ${which}; ${decideWith}`;
}

function countWords(count: number): string {
  const many = count >= restoredCountMax ? `at least ${count}` : `${count}`;
  return `${many} ${count === 1 ? "email was" : "emails were"}`;
}

function sinceOf({ kind, name, pausedAt }: Pause): string {
  return `sending of the ${kind} ${name} is paused since ${pausedAt.toISOString()}`;
}

function byOf({ pausedBy, reason }: Pause): string {
  return `${pausedBy} (${reason})`;
}
