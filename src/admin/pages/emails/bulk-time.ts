import { AppError } from "../../../errors.ts";
import type { WantedChange } from "../../../store/bulk-change.ts";
import { instantOf } from "../local-time.ts";

/** When many emails shall go, as it was typed. */
export interface BulkTime {
  /** By a length of time from when each was due, or to one moment. */
  how: "by" | "to";
  amount: string;
  unit: string;
  direction: "later" | "earlier";
  /** `2027-03-28T09:00` in `zone`. */
  at: string;
  zone: string;
}

const unitSeconds: Record<string, number> = { minutes: 60, hours: 3_600, days: 86_400 };
/** As the API's `shift_seconds`. */
const shiftSecondsMax = 315_360_000;

export function bulkTimeOf(form: Record<string, unknown>, zone: string): BulkTime {
  const text = (name: string, otherwise: string) => {
    const value = form[name];
    return typeof value === "string" ? value : otherwise;
  };
  return {
    how: form.how === "to" ? "to" : "by",
    amount: text("amount", "1"),
    unit: text("unit", "hours"),
    direction: form.direction === "earlier" ? "earlier" : "later",
    at: text("at", ""),
    zone: text("zone", zone),
  };
}

/** Throws `invalid_content` when it is no time that emails could be moved to. */
export function rescheduleOf(time: BulkTime, now: Date): WantedChange & { change: "reschedule" } {
  if (time.how === "to") {
    const at = instantOf(time.at, time.zone);
    if (at === null) {
      throw invalid(`Expected a date and time in a time zone, got “${time.at} ${time.zone}”.`);
    }
    if (at.getTime() < now.getTime() - 60_000) {
      throw invalid(`Expected a time to come, got ${time.at} ${time.zone}.`);
    }
    return { change: "reschedule", scheduledAt: at };
  }
  const seconds = Number(time.amount) * (unitSeconds[time.unit] ?? Number.NaN);
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > shiftSecondsMax) {
    throw invalid(`Expected a number of minutes, hours or days, got “${time.amount}”.`);
  }
  return { change: "reschedule", shiftSeconds: time.direction === "later" ? seconds : -seconds };
}

const invalid = (publicDetail: string) => new AppError("invalid_content", { publicDetail });
