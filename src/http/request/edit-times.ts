import type { CurrentEmail } from "../../content/current-email.ts";
import type { EmailEdit, Lateness } from "../../email/email-edit.ts";
import { pastFault } from "../../email/parse-time.ts";
import type { FieldFault } from "../../errors.ts";
import { lateAlone, limitedTwice } from "./email-rules.ts";
import type { EmailFields } from "./email-schema.ts";
import { onLateDefault } from "./to-draft.ts";
import type { EditContext } from "./to-edit.ts";

type Given = Partial<EmailFields>;
type Limit = Omit<Lateness, "onLate">;

/** The time and the lateness an edit asks for, and what is wrong with them beside what stays. */
export function editTimes(
  given: Given,
  current: CurrentEmail,
  context: EditContext,
): { edit: EmailEdit; faults: FieldFault[] } {
  const edit: EmailEdit = {};
  const faults: FieldFault[] = [];
  const { scheduled_at: scheduledAt } = given;
  if (scheduledAt !== undefined) edit.scheduledAt = scheduledAt;
  const past = scheduledAt ? pastFault(scheduledAt, context.now) : null;
  if (past !== null) faults.push({ pointer: "/scheduled_at", detail: past });

  const limit = limitOf(given, current.draft);
  const onLate = onLateOf(given, limit, current.draft);
  if (limit !== null || given.on_late !== undefined) {
    edit.lateness = { ...(limit ?? current.draft), onLate } as Lateness;
    const { expiresAt, maxLatenessSeconds } = edit.lateness;
    edit.lateness = { expiresAt, maxLatenessSeconds, onLate };
  }
  faults.push(
    ...limitFaults(given, limit ?? current.draft),
    ...endFaults(given, edit, current, context),
  );
  return { edit, faults };
}

/** Null: stays as it is. Either of both takes the place of the other. */
function limitOf(given: Given, was: Limit): Limit | null {
  const { expires_at: expiresAt, max_lateness: maxLateness } = given;
  if (maxLateness != null) return { expiresAt: null, maxLatenessSeconds: maxLateness };
  // Null in expires_at lifts every limit: one that max_lateness sets shows there as well.
  if (expiresAt !== undefined) return { expiresAt, maxLatenessSeconds: null };
  if (maxLateness === undefined || was.maxLatenessSeconds === null) return null;
  return { expiresAt: null, maxLatenessSeconds: null };
}

function isLimited({ expiresAt, maxLatenessSeconds }: Limit): boolean {
  return expiresAt !== null || maxLatenessSeconds !== null;
}

/** Without a limit nothing is late; with a new one what is late is dropped, unless said otherwise. */
function onLateOf(given: Given, limit: Limit | null, was: Lateness): Lateness["onLate"] {
  const will = limit ?? was;
  if (given.on_late != null) return given.on_late;
  const isKept = given.on_late === undefined && isLimited(will) && isLimited(was);
  return isKept ? was.onLate : onLateDefault(will.expiresAt, will.maxLatenessSeconds);
}

function limitFaults(given: Given, will: Limit): FieldFault[] {
  const { on_late: onLate, expires_at: expiresAt, max_lateness: maxLateness } = given;
  const faults: FieldFault[] = [];
  if ((onLate === "drop" || onLate === "hold") && !isLimited(will)) {
    faults.push(lateAlone(onLate, ""));
  }
  if (expiresAt != null && maxLateness != null) faults.push(limitedTwice(maxLateness, ""));
  return faults;
}

/** An email must not end before it is due, whichever of the two was changed. */
function endFaults(
  given: Given,
  { lateness, scheduledAt }: EmailEdit,
  { draft }: CurrentEmail,
  { now, isReplay }: EditContext,
): FieldFault[] {
  const isFixed = (lateness ?? draft).maxLatenessSeconds === null;
  const end = (lateness ?? draft).expiresAt;
  const isEndGiven = given.expires_at != null;
  const isJudged = isEndGiven || (scheduledAt !== undefined && !isReplay);
  if (!isJudged || !isFixed || end === null) return [];
  // A replay without a time is due now.
  const due = scheduledAt !== undefined || isReplay ? (scheduledAt ?? now) : draft.scheduledAt;
  const start = due && due > now ? due : now;
  if (end > start) return [];
  const when = start === now ? "now" : "scheduled_at";
  return isEndGiven
    ? [
        {
          pointer: "/expires_at",
          detail: `expected a time after ${when} (${start.toISOString()}), got ${end.toISOString()}`,
        },
      ]
    : [
        {
          pointer: "/scheduled_at",
          detail: `expected a time before expires_at (${end.toISOString()}), got ${start.toISOString()}`,
        },
      ];
}
