import { latenessBoundsMs, type MinuteFigures, type MinuteSum } from "../../../store/minutes.ts";

export type SpanName = "hour" | "day";

/** A length of time that ends now, in equal steps. */
export interface ChartSpan {
  name: SpanName;
  from: Date;
  to: Date;
  stepSeconds: number;
  slots: number;
}

const steps = { hour: { seconds: 60, slots: 60 }, day: { seconds: 900, slots: 96 } } as const;

/** The last step is the one that runs. */
export function chartSpanOf(name: string | undefined, now: Date): ChartSpan {
  const known: SpanName = name === "day" ? "day" : "hour";
  const { seconds, slots } = steps[known];
  const stepMs = seconds * 1_000;
  const to = (Math.floor(now.getTime() / stepMs) + 1) * stepMs;
  const from = new Date(to - slots * stepMs);
  return { name: known, from, to: new Date(to), stepSeconds: seconds, slots };
}

/** One for each step, also for those in which nothing happened. */
export function slotsOf(sums: readonly MinuteSum[], { slots }: ChartSpan): MinuteFigures[] {
  const found = new Map(sums.map((sum) => [sum.slot, sum]));
  return Array.from({ length: slots }, (_, slot) => found.get(slot) ?? noFigures);
}

const noFigures: MinuteFigures = {
  ...{ accepted: 0, sent: 0, partial: 0, deferred: 0, bounced: 0, uncertain: 0 },
  lateness: [],
};

const counted = ["accepted", "sent", "partial", "deferred", "bounced", "uncertain"] as const;

export function totalOf(slots: readonly MinuteFigures[]): MinuteFigures {
  const total: MinuteFigures = { ...noFigures, lateness: latenessBoundsMs.map(() => 0).concat(0) };
  for (const slot of slots) {
    for (const name of counted) total[name] += slot[name];
    for (const [place, count] of slot.lateness.entries()) {
      total.lateness[place] = (total.lateness[place] ?? 0) + count;
    }
  }
  return total;
}

/**
 * The lateness in ms that this share of the first attempts stays within, read off the counts between
 * two bounds as if they lay there evenly; above the last bound that bound. null: there were none.
 */
export function latenessAt(share: number, lateness: readonly number[]): number | null {
  const all = lateness.reduce((sum, count) => sum + count, 0);
  if (all === 0) return null;
  const wanted = share * all;
  let before = 0;
  for (const [place, count] of lateness.entries()) {
    const upper = latenessBoundsMs[place];
    if (upper === undefined) break;
    const lower = latenessBoundsMs[place - 1] ?? 0;
    if (count > 0 && before + count >= wanted) {
      return lower + ((wanted - before) / count) * (upper - lower);
    }
    before += count;
  }
  return latenessBoundsMs.at(-1) ?? null;
}
