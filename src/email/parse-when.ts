import { parseInstant } from "./parse-time.ts";
import type { Parsed } from "./parsed.ts";
import { quoteInput } from "./quote-input.ts";

/** All that is understood beside RFC 3339; `public/docs/times.md` says the same. */
export const phraseForms =
  'an RFC 3339 time with offset or Z, "in 5 minutes" (seconds, minutes, hours, days, weeks), ' +
  'or "today", "tomorrow" or a day of the week with "at 9am", "at 9:30 am" or "at 21:30" and ' +
  'perhaps a zone behind it ("UTC", "+02:00" or a name such as "Europe/Berlin"; default UTC)';

const unitSeconds: Readonly<Record<string, number>> = {
  ...{ s: 1, sec: 1, secs: 1, second: 1, seconds: 1 },
  ...{ m: 60, min: 60, mins: 60, minute: 60, minutes: 60 },
  ...{ h: 3_600, hr: 3_600, hrs: 3_600, hour: 3_600, hours: 3_600 },
  ...{ d: 86_400, day: 86_400, days: 86_400, w: 604_800, week: 604_800, weeks: 604_800 },
};
const weekdays = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
/** Ten years. */
const secondsMax = 315_360_000;
const textLengthMax = 100;

/**
 * When to send, as an instant or as one of a few English phrases, whole and exactly; anything else
 * is a fault, never a guess. A day of the week is the next moment it names; `today` at a time that
 * has passed is a past time. A time that a clock skips is the one as much later; of one that comes
 * twice the first is meant.
 */
export function parseWhen(input: unknown, now: Date): Parsed<Date> {
  const fault = { fault: `expected ${phraseForms}, got ${quoteInput(input)}` };
  if (typeof input !== "string" || input.length > textLengthMax) return fault;
  const instant = parseInstant(input);
  if ("value" in instant) return instant;
  // What begins like a date is meant as one: its own fault says what is wrong with it.
  if (/^\d{4}/.test(input)) return instant;
  const words = input.trim().toLowerCase().replace(/ +/g, " ");
  return parseSpan(words, now) ?? parseDay(words, now) ?? fault;
}

function parseSpan(words: string, now: Date): Parsed<Date> | null {
  const [, count = "", unit = ""] = /^in (\d{1,9}|an?) ?([a-z]+)$/.exec(words) ?? [];
  const seconds = Object.hasOwn(unitSeconds, unit) ? unitSeconds[unit] : undefined;
  if (seconds === undefined) return null;
  const span = (count.startsWith("a") ? 1 : Number(count)) * seconds;
  return span > secondsMax ? null : { value: new Date(now.getTime() + span * 1_000) };
}

function parseDay(words: string, now: Date): Parsed<Date> | null {
  const [, day = "", time = "", zoneName = "utc"] =
    /^(today|tomorrow|[a-z]+day) at (\d{1,2}(?::\d{2})? ?(?:am|pm)?)(?: (\S+))?$/.exec(words) ?? [];
  const clock = parseClock(time);
  const here = clock && zoned(now, zoneName);
  if (!here) return null;
  const at = (days: number) => here.add({ days }).withPlainTime(clock);
  if (day === "today") return toDate(at(0));
  if (day === "tomorrow") return toDate(at(1));
  const weekday = weekdays.indexOf(day) + 1;
  if (weekday === 0) return null;
  const days = (weekday - here.dayOfWeek + 7) % 7;
  const first = at(days);
  return toDate(Temporal.ZonedDateTime.compare(first, here) > 0 ? first : at(days + 7));
}

function toDate({ epochMilliseconds }: Temporal.ZonedDateTime): Parsed<Date> {
  return { value: new Date(epochMilliseconds) };
}

/** `9am`, `9:30 pm`, `21:30`; a number alone is none: nobody knows which half of the day. */
function parseClock(text: string): { hour: number; minute: number } | null {
  const [, hours = "", minutes, half] = /^(\d{1,2})(?::(\d{2}))? ?(am|pm)?$/.exec(text) ?? [];
  if (hours === "" || (minutes === undefined && half === undefined)) return null;
  const hour = Number(hours);
  const minute = Number(minutes ?? 0);
  if (minute > 59) return null;
  if (half === undefined) return hour > 23 ? null : { hour, minute };
  if (hour < 1 || hour > 12) return null;
  return { hour: (hour % 12) + (half === "pm" ? 12 : 0), minute };
}

/** Null: no zone of that name. Abbreviations such as EST or IST mean several zones. */
function zoned(now: Date, name: string): Temporal.ZonedDateTime | null {
  const isName = name === "utc" || name.includes("/") || /^[+-]\d{2}:\d{2}$/.test(name);
  if (!isName) return null;
  try {
    return Temporal.Instant.fromEpochMilliseconds(now.getTime()).toZonedDateTimeISO(name);
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}
