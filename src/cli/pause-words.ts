import type { Pause } from "../store/pauses.ts";
import type { HealthComponent } from "./health-of-work.ts";

/** Beyond these a number says enough; GET /api/v1/queue-stats has them all. */
const namedMax = 3;

const resumeWith = "resume with `taskforce-mailer resume` or POST /api/v1/resume";

/** Tells who paused what, since when and why, and how to resume; empty: nothing is paused. */
export function pauseWords(pauses: readonly Pause[]): string {
  if (pauses.length === 0) return "";
  const named = pauses.slice(0, namedMax).map(wordsOf);
  const more = pauses.length - named.length;
  const words = [...named, ...(more > 0 ? [`${more} more`] : [])].join("; ");
  return `${words}; ${resumeWith}`;
}

function sinceOf({ kind, name, pausedAt }: Pause): string {
  return `sending of the ${kind} ${name} is paused since ${pausedAt.toISOString()}`;
}

function wordsOf(pause: Pause): string {
  return `${sinceOf(pause)} by ${pause.pausedBy} (${pause.reason})`;
}

/**
 * Whether anybody has stopped sending: what is due waits, and nothing is wrong with it. /health asks
 * for no credential, so neither owners nor who paused them, nor why, are named in it.
 */
export function checkPauses(pauses: readonly Pause[]): HealthComponent {
  const regions = pauses.filter(({ kind }) => kind === "region");
  const ownerCount = pauses.length - regions.length;
  const named = regions.slice(0, namedMax).map(sinceOf);
  const more = regions.length - named.length;
  const words = [
    ...named,
    ...(more > 0 ? [`${more} more regions`] : []),
    ...(ownerCount > 0 ? [`sending of ${ownerCount} owner(s) is paused`] : []),
  ];
  if (words.length === 0) return { status: "ok" };
  return { status: "degraded", detail: `${words.join("; ")}; ${resumeWith}` };
}
