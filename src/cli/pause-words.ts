import type { Pause } from "../store/pauses.ts";
import type { HealthComponent } from "./health-of-work.ts";

/** Beyond these a number says enough; GET /api/v1/queue-stats has them all. */
const namedMax = 3;

/** Who paused what, since when and why, and how it goes on; empty: nothing is paused. */
export function pauseWords(pauses: readonly Pause[]): string {
  if (pauses.length === 0) return "";
  const named = pauses.slice(0, namedMax).map(wordsOf);
  const more = pauses.length - named.length;
  const words = [...named, ...(more > 0 ? [`${more} more`] : [])].join("; ");
  return `${words}; resume with \`taskforce-mailer resume\` or POST /api/v1/resume`;
}

function wordsOf({ kind, name, pausedAt, pausedBy, reason }: Pause): string {
  const since = `since ${pausedAt.toISOString()}`;
  return `sending of the ${kind} ${name} is paused ${since} by ${pausedBy} (${reason})`;
}

/** Whether anybody has stopped sending: what is due waits, and nothing is wrong with it. */
export function checkPauses(pauses: readonly Pause[]): HealthComponent {
  const detail = pauseWords(pauses);
  return detail === "" ? { status: "ok" } : { status: "degraded", detail };
}
