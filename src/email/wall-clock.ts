import type { Parsed } from "./parsed.ts";
import { quoteInput } from "./quote-input.ts";
import { zoneData } from "./zone-data.ts";

/** What to do with a time that clocks skip, and with one that they show twice. */
export const gapPolicies = ["later", "earlier", "reject"] as const;
export const overlapPolicies = ["first", "second", "reject"] as const;

/** A time as a clock on the wall shows it, where somebody is. */
export interface WallClock {
  /** `2027-03-28T02:30`, with seconds when they were given. */
  localTime: string;
  /** Name of the IANA time zone database. */
  timezone: string;
  gap: (typeof gapPolicies)[number];
  overlap: (typeof overlapPolicies)[number];
}

/** `exact`: the clock shows it once. */
export type Resolution = "exact" | "gap" | "overlap";

export interface ResolvedWallClock extends WallClock {
  scheduledAt: Date;
  /** Of the zone at that instant, such as `+02:00`. */
  utcOffset: string;
  resolution: Resolution;
  /** Version of the zone data by which it was resolved. */
  zoneData: string;
}

const localTimeForm = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?$/;

export function parseLocalTime(input: string): Parsed<string> {
  const fault = {
    fault: `expected a local time such as 2027-03-28T02:30, without an offset, got ${quoteInput(input)}`,
  };
  return localTimeForm.test(input) && plainTime(input) !== null ? { value: input } : fault;
}

export function parseTimezone(input: string): Parsed<string> {
  const fault = {
    fault: `expected the name of a time zone such as Europe/Berlin, got ${quoteInput(input)}`,
  };
  if (!/^[A-Za-z][\w+/-]{1,63}$/.test(input)) return fault;
  try {
    return {
      value: Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(input).timeZoneId,
    };
  } catch (error) {
    if (error instanceof RangeError) return fault;
    throw error;
  }
}

/**
 * Finds the instant that a wall clock means. `later` moves a skipped time by the length of the gap
 * (02:30 becomes 03:30), `earlier` moves it back by as much (01:30). Local time and zone must have
 * been parsed.
 */
export function resolveWallClock(wish: WallClock): Parsed<ResolvedWallClock> {
  const local = plainTime(wish.localTime);
  if (local === null) return parseLocalTime(wish.localTime) as { fault: string };
  const at = (disambiguation: "earlier" | "later") =>
    local.toZonedDateTime(wish.timezone, { disambiguation });
  const [first, second] = [at("earlier"), at("later")];
  const resolution = resolutionOf(local, first, second);
  const policy = { exact: "first", gap: wish.gap, overlap: wish.overlap }[resolution];
  if (policy === "reject") return { fault: rejection(wish, resolution) };
  const chosen = policy === "later" || policy === "second" ? second : first;
  return {
    value: {
      ...wish,
      scheduledAt: new Date(chosen.epochMilliseconds),
      utcOffset: chosen.offset,
      resolution,
      zoneData: zoneData().version,
    },
  };
}

function resolutionOf(
  local: Temporal.PlainDateTime,
  first: Temporal.ZonedDateTime,
  second: Temporal.ZonedDateTime,
): Resolution {
  if (first.epochMilliseconds === second.epochMilliseconds) return "exact";
  return first.toPlainDateTime().equals(local) ? "overlap" : "gap";
}

function rejection({ localTime, timezone }: WallClock, resolution: Resolution): string {
  const what = resolution === "gap" ? "skip" : "show twice";
  return `expected a time that the clocks of ${timezone} show once, got ${quoteInput(localTime)}, which they ${what}`;
}

/** Null: there is no such day or time of day. */
function plainTime(text: string): Temporal.PlainDateTime | null {
  try {
    return Temporal.PlainDateTime.from(text, { overflow: "reject" });
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}
