import type { Claims, Database } from "./database.ts";

/** Between which instants emails are counted; each list rises and has at most 81. */
export interface TimelineEdges {
  planned: readonly Date[];
  /** Within the last hour or so. */
  past: readonly Date[];
}

/** One number for each space between two edges. */
export interface Timeline {
  /** Pending emails by when they are tried next; none is above `plannedMax`. */
  planned: number[];
  past: { sent: number[]; deferred: number[]; failed: number[] };
  /** From here on the past is whole; before it nothing was counted. */
  pastSince: Date;
  sent: number;
  deferred: number;
  failed: number;
  /** How long after their time emails were sent; null: none was. */
  lateP50Ms: number | null;
  lateP99Ms: number | null;
}

/** A bar that is as high as this may stand for more. */
export const plannedMax = 1_000;
/** Entries of the journal that are read for the past. */
const pastMax = 5_000;

/** What goes out when; claims decide whose. */
export interface Timelines {
  read(edges: TimelineEdges, as: Claims): Promise<Timeline>;
}

export function createTimelines(database: Database): Timelines {
  return {
    async read({ planned, past }, as) {
      const args = { edges: planned, past_edges: past, bucket_max: plannedMax, past_max: pastMax };
      const row = (await database.rpc("due_counts", args, as)) as TimelineJson;
      const { late_p50_ms: lateP50Ms, late_p99_ms: lateP99Ms, past_since, ...counts } = row;
      return { ...counts, pastSince: new Date(past_since), lateP50Ms, lateP99Ms };
    },
  };
}

interface TimelineJson extends Pick<Timeline, "planned" | "past" | "sent" | "deferred" | "failed"> {
  past_since: string;
  late_p50_ms: number | null;
  late_p99_ms: number | null;
}
