import { parseInstant } from "../../email/parse-time.ts";
import type { Parsed } from "../../email/parsed.ts";
import { quoteInput } from "../../email/quote-input.ts";

const wallClock = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2})?$/;

/** The fields of an email that say when it is due: an instant, or a local time as a wish. */
export type TimeFields =
  | { scheduled_at: string }
  | { local_time: string; timezone: string; dst: { gap: "reject"; overlap: "reject" } };

/**
 * A time as people write it. Without a zone it must have an offset; with one it is what the clocks
 * there show, also when the zone's rules change meanwhile, and a time that they skip or show twice
 * is refused.
 */
export function readTime(text: string, zone: string | null): Parsed<TimeFields> {
  if (zone === null) {
    const parsed = parseInstant(text);
    if ("value" in parsed) return { value: { scheduled_at: parsed.value.toISOString() } };
    const isBare = wallClock.test(text);
    return isBare ? { fault: `${parsed.fault}; or name the zone it is meant in` } : parsed;
  }
  if (!wallClock.test(text)) {
    return { fault: `expected a time such as 2027-01-04 09:00, got ${quoteInput(text)}` };
  }
  const local = localTime(text);
  if (local === null) return { fault: `expected a day of the calendar, got ${quoteInput(text)}` };
  if (!isZone(zone)) {
    return { fault: `expected a zone such as Europe/Berlin, got ${quoteInput(zone)}` };
  }
  const earlier = local.toZonedDateTime(zone, { disambiguation: "earlier" }).toInstant();
  const later = local.toZonedDateTime(zone, { disambiguation: "later" }).toInstant();
  if (earlier.equals(later)) {
    const dst = { gap: "reject", overlap: "reject" } as const;
    return { value: { local_time: text.replace(" ", "T"), timezone: zone, dst } };
  }
  const choice = `give it with an offset: ${earlier.toString()} or ${later.toString()}`;
  return { fault: `${text} is skipped or comes twice in ${zone}; ${choice}` };
}

function localTime(text: string): Temporal.PlainDateTime | null {
  try {
    return Temporal.PlainDateTime.from(text.replace(" ", "T"), { overflow: "reject" });
  } catch {
    // The 30th of February, or 25 o'clock.
    return null;
  }
}

function isZone(zone: string): boolean {
  try {
    return Temporal.Now.instant().toZonedDateTimeISO(zone).timeZoneId !== "";
  } catch {
    // Not in the zone data.
    return false;
  }
}
