import type { EmailState } from "../../../email/email.ts";
import type { DeadLetterFilter } from "../../../store/dead-letters.ts";
import type { Search } from "./search.ts";

/** What may be done to all that a search finds. */
export const bulkVerbs = ["hold", "release", "reschedule", "replay", "cancel"] as const;
export type BulkVerb = (typeof bulkVerbs)[number];

export const verbWords: Record<BulkVerb, string> = {
  hold: "Hold",
  release: "Release",
  reschedule: "Reschedule",
  replay: "Replay",
  cancel: "Cancel",
};

/** The same set for a change of many; null: nothing was searched for, or not all was understood. */
export function bulkFilterOf({ filter, faults, terms }: Search): DeadLetterFilter | null {
  if (faults.length > 0 || terms.length === 0) return null;
  const { statuses, tag, metadata, addressIndex, scheduledAfter, scheduledBefore } = filter;
  return {
    // Dismissed emails are in the list, too.
    isWithDismissed: filter.isOpen !== true,
    ...(statuses === null ? {} : { statuses }),
    ...(filter.isDeferred ? { isDeferred: true } : {}),
    ...(tag === null ? {} : { tag }),
    ...(metadata === null ? {} : { metadata }),
    ...(addressIndex === null ? {} : { addressIndex }),
    ...(scheduledAfter === null ? {} : { scheduledAfter }),
    ...(scheduledBefore === null ? {} : { scheduledBefore }),
    ...(filter.owner === undefined ? {} : { owner: filter.owner }),
    ...(filter.group === undefined ? {} : { group: filter.group }),
  };
}

/**
 * What may be done to all that match: what some of them can be in a state for. A state by itself
 * narrows nothing: all that is pending is not cancelled by one press, though it can be held.
 */
export function verbsForAll(search: Search): BulkVerb[] {
  const filter = bulkFilterOf(search);
  if (filter === null) return [];
  const { statuses, isDeferred = false } = filter;
  const has = (...states: EmailState[]) =>
    states.some((state) => (statuses === undefined ? !isDeferred : statuses.includes(state)));
  const isWaiting = isDeferred || has("pending");
  const isNarrowed = search.terms.some(({ key }) => key !== "status");
  const can: Record<BulkVerb, boolean> = {
    hold: isWaiting,
    release: has("held"),
    reschedule: isWaiting || has("held"),
    replay: statuses !== undefined && has("failed", "uncertain", "partially_sent"),
    cancel: isNarrowed && (isWaiting || has("held")),
  };
  return bulkVerbs.filter((verb) => can[verb]);
}
