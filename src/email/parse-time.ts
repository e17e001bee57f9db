import type { Parsed } from "./parsed.ts";
import { quoteInput } from "./quote-input.ts";

const rfc3339 =
  /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/;
const withoutOffset = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?$/;
const expected = "an RFC 3339 time with offset or Z such as 2027-01-31T09:00:00Z";
/** The longest that either pattern above matches, with room to spare. */
const timeTextLengthMax = 64;
const lastInstant = Date.UTC(9999, 11, 31, 23, 59, 59, 999);
/** A request takes time, and clocks differ: this far in the past still means "now". */
const pastToleranceMs = 60_000;

/**
 * An instant of the years 0000 to 9999. Fractions finer than a millisecond are rounded up, so
 * that nothing is due before its time. A time without offset is refused, never guessed; so is a
 * leap second (:60), which neither JavaScript nor PostgreSQL can hold.
 */
export function parseInstant(input: unknown): Parsed<Date> {
  if (typeof input !== "string" || input.length > timeTextLengthMax) {
    return { fault: `expected ${expected}, got ${quoteInput(input)}` };
  }
  const match = rfc3339.exec(input);
  const instant = match && instantOf(match);
  if (instant !== null) return { value: instant };
  const isNaive = withoutOffset.test(input);
  return {
    fault: isNaive
      ? `expected ${expected}, got ${quoteInput(input)} without an offset: add Z or one such as +02:00`
      : `expected ${expected}, got ${quoteInput(input)}`,
  };
}

/** A sentence when an instant to send at is past by more than 60 seconds; null: it is not. */
export function pastFault(instant: Date, now: Date): string | null {
  if (now.getTime() - instant.getTime() <= pastToleranceMs) return null;
  return `expected a time that is not in the past (it is ${now.toISOString()}), got ${instant.toISOString()}`;
}

function instantOf(match: RegExpExecArray): Date | null {
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as SixNumbers;
  const [offsetHour, offsetMinute] = [Number(match[9] ?? 0), Number(match[10] ?? 0)];
  if (hour > 23 || minute > 59 || second > 59 || offsetHour > 23 || offsetMinute > 59) return null;
  const local = new Date(0);
  local.setUTCFullYear(year, month - 1, day);
  // 30 February becomes 1 March: what does not come back as it went in is no date.
  if (local.getUTCMonth() !== month - 1 || local.getUTCDate() !== day) return null;
  local.setUTCHours(hour, minute, second, 0);
  const milliseconds = Math.ceil(Number((match[7] ?? "0").padEnd(9, "0")) / 1_000_000);
  const offsetMs = (offsetHour * 60 + offsetMinute) * 60_000 * (match[8] === "-" ? -1 : 1);
  const instant = local.getTime() + milliseconds - offsetMs;
  return instant >= -62_167_219_200_000 && instant <= lastInstant ? new Date(instant) : null;
}

type SixNumbers = [number, number, number, number, number, number];
