import { type ResolvedWallClock, resolveWallClock } from "../../email/wall-clock.ts";
import type { FieldFault } from "../../errors.ts";
import type { EmailFields } from "./email-schema.ts";

const timeFields = ["local_time", "timezone", "dst", "scheduled_at"] as const;
type TimeFields = { [Name in (typeof timeFields)[number]]?: EmailFields[Name] | undefined };

/** The instant of `local_time`, and what is wrong with it; null: none is given. */
export function readLocalTime(
  fields: TimeFields,
  pointer: string,
): { wallClock: ResolvedWallClock | null; faults: FieldFault[] } {
  const { local_time: localTime, timezone, dst, scheduled_at: scheduledAt } = fields;
  // One that is at fault by itself is not among the fields, and is missed by nobody here.
  const areAllRead = timeFields.every((name) => name in fields);
  if (!areAllRead) return { wallClock: null, faults: [] };
  const fault = (name: string, detail: string) => ({
    wallClock: null,
    faults: [{ pointer: `${pointer}/${name}`, detail }],
  });
  if (localTime === undefined) {
    if (timezone === undefined && dst === undefined) return { wallClock: null, faults: [] };
    const name = timezone === undefined ? "dst" : "timezone";
    return fault(name, `expected local_time together with ${name}, got it alone`);
  }
  if (scheduledAt) {
    return fault("local_time", "expected either scheduled_at or local_time, got both");
  }
  if (timezone === undefined) {
    return fault("timezone", "expected a time zone such as Europe/Berlin for local_time, got none");
  }
  const { gap = "later", overlap = "first" } = dst ?? {};
  const resolved = resolveWallClock({ localTime, timezone, gap, overlap });
  if ("fault" in resolved) return fault("local_time", resolved.fault);
  return { wallClock: resolved.value, faults: [] };
}

/** Faults of the instant, as faults of the local time that it was made of. */
export function atLocalTime(faults: FieldFault[], pointer: string): FieldFault[] {
  return faults.map((fault) =>
    fault.pointer === `${pointer}/scheduled_at`
      ? { ...fault, pointer: `${pointer}/local_time` }
      : fault,
  );
}

/** How an answer echoes it. */
export function localTimeAnswer(wallClock: Omit<ResolvedWallClock, "scheduledAt"> | null) {
  if (wallClock === null) return {};
  const { localTime, timezone, utcOffset, resolution } = wallClock;
  return { local_time: localTime, timezone, utc_offset: utcOffset, resolution };
}
