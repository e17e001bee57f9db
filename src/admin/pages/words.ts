import type { EmailState } from "../../email/email.ts";
import type { StoredEmail } from "../../store/stored-email.ts";

/** What a person is shown of a state; `deferred` is a pending email that has been tried before. */
export type ShownState = EmailState | "deferred";

export const stateWords: Record<ShownState, string> = {
  pending: "Pending",
  deferred: "Deferred",
  sending: "Sending",
  sent: "Sent",
  partially_sent: "Partly sent",
  failed: "Failed",
  uncertain: "Uncertain",
  held: "Held",
  cancelled: "Cancelled",
  expired: "Expired",
  suppressed: "Suppressed",
};

export function shownStateOf({ status, attemptsSpent }: StoredEmail): ShownState {
  return status === "pending" && attemptsSpent > 0 ? "deferred" : status;
}

/** `1 email`, `1,204 emails`. */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${count.toLocaleString("en-GB")} ${count === 1 ? noun : plural}`;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
export const weekMs = 7 * dayMs;

/** `3 d 4 h`, `4 h 12 min`, `12 min`, `34 s`, `250 ms`; never negative. */
export function shownDuration(ms: number): string {
  const length = Math.abs(ms);
  const pair = (big: number, bigUnit: string, small: number, smallUnit: string) => {
    const rest = Math.floor((length % big) / small);
    const head = `${Math.floor(length / big)} ${bigUnit}`;
    return rest === 0 ? head : `${head} ${rest} ${smallUnit}`;
  };
  if (length >= dayMs) return pair(dayMs, "d", hourMs, "h");
  if (length >= hourMs) return pair(hourMs, "h", minuteMs, "min");
  if (length >= minuteMs) return `${Math.floor(length / minuteMs)} min`;
  if (length >= 1_000) return `${Math.floor(length / 1_000)} s`;
  return `${Math.round(length)} ms`;
}

/** `in 3 d 4 h`, `5 min ago`, `now`. `console.js` says it alike. */
export function relativeWords(at: Date, now: Date): string {
  const ms = at.getTime() - now.getTime();
  if (Math.abs(ms) < 1_000) return "now";
  return ms > 0 ? `in ${shownDuration(ms)}` : `${shownDuration(ms)} ago`;
}

/** `Thu 3 Dec, 09:00`, with the year when it is another than this one. */
export function absoluteWords(at: Date, { zone, now }: { zone: string; now: Date }): string {
  const parts = new Map(
    new Intl.DateTimeFormat("en-GB", {
      timeZone: zone,
      weekday: "short",
      day: "numeric",
      month: "short",
      year: "numeric",
      hour: "2-digit",
      minute: "2-digit",
      hourCycle: "h23",
    })
      .formatToParts(at)
      .map(({ type, value }) => [type, value]),
  );
  const part = (name: Intl.DateTimeFormatPartTypes) => parts.get(name) ?? "";
  const isThisYear = yearIn(zone, now) === part("year");
  const date = `${part("weekday")} ${part("day")} ${part("month")}${isThisYear ? "" : ` ${part("year")}`}`;
  return `${date}, ${part("hour")}:${part("minute")}`;
}

/** For the pointer that rests on a time. */
export function exactWords(at: Date): string {
  return `${at.toISOString().replace("T", " ").replace("Z", "")} UTC`;
}

function yearIn(timeZone: string, at: Date): string {
  return new Intl.DateTimeFormat("en-GB", { timeZone, year: "numeric" }).format(at);
}

/** Whether the runtime knows this time zone. */
export function isZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en-GB", { timeZone: name });
    return /^[A-Za-z0-9/_+-]{1,64}$/.test(name);
  } catch {
    // RangeError: no such zone.
    return false;
  }
}
