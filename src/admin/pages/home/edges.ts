/** What of time a timeline shows, and in which steps. */
export interface Span {
  past: Date[];
  planned: Date[];
  /** Asked for by the address; null: from an hour ago to a year ahead, in growing steps. */
  window: { from: Date; to: Date } | null;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

const pastSteps = 12;
const zoomedSteps = 60;

/** Growing steps from now on: five minutes, hours, days, months of 30 days. */
const steps: readonly { stepMs: number; untilMs: number }[] = [
  { stepMs: 5 * minuteMs, untilMs: hourMs },
  { stepMs: hourMs, untilMs: dayMs },
  { stepMs: dayMs, untilMs: 30 * dayMs },
  { stepMs: 30 * dayMs, untilMs: 360 * dayMs },
];

/** The last hour beside what is planned. */
export function wholeSpan(now: Date): Span {
  const at = now.getTime();
  const past = Array.from({ length: pastSteps + 1 }, (_, step) => {
    return new Date(at - hourMs + (step * hourMs) / pastSteps);
  });
  const planned = [at];
  for (const { stepMs, untilMs } of steps) {
    let last = planned.at(-1) ?? at;
    while (last < at + untilMs) {
      last += stepMs;
      planned.push(last);
    }
  }
  return { past, planned: planned.map((ms) => new Date(ms)), window: null };
}

/** Even steps between two instants, of which the first may not be past. */
export function zoomedSpan(from: Date, to: Date): Span {
  const stepMs = (to.getTime() - from.getTime()) / zoomedSteps;
  const planned = Array.from({ length: zoomedSteps + 1 }, (_, step) => {
    return new Date(from.getTime() + step * stepMs);
  });
  return { past: [], planned, window: { from, to } };
}

const zoomMsMin = 10 * minuteMs;
const zoomMsMax = 366 * dayMs;

/** From the address; anything that is no window there is the whole span. */
export function spanOf(
  query: { from?: string | undefined; to?: string | undefined },
  now: Date,
): Span {
  const from = new Date(query.from ?? "");
  const to = new Date(query.to ?? "");
  const length = to.getTime() - from.getTime();
  const isWindow = length >= zoomMsMin && length <= zoomMsMax && to > now;
  if (!isWindow) return wholeSpan(now);
  return zoomedSpan(from < now ? now : from, to);
}

/** Addresses of the windows around one: to both sides by half of it, and twice or half as long. */
export function windowsAround({ from, to }: { from: Date; to: Date }, now: Date) {
  const length = to.getTime() - from.getTime();
  const move = (start: number, long: number) => {
    const first = Math.max(start, now.getTime());
    return windowPath(new Date(first), new Date(first + long));
  };
  const start = from.getTime();
  return {
    earlier: move(start - length / 2, length),
    later: move(start + length / 2, length),
    closer: move(start + length / 4, Math.max(length / 2, zoomMsMin)),
    wider: length * 2 > zoomMsMax ? "/" : move(start - length / 2, length * 2),
  };
}

export function windowPath(from: Date, to: Date): string {
  const query = new URLSearchParams({ from: from.toISOString(), to: to.toISOString() });
  return `/?${query}`;
}
