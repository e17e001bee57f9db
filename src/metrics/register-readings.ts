import { Counter, Gauge } from "@prometheus-io/client";
import { type Metrics, prefix } from "./metrics.ts";

/** One figure that is read off something else when somebody asks. */
export interface Reading<T> {
  /** Without the prefix. */
  name: string;
  help: string;
  /** null: unknown at the moment, and left out. With labels: one figure for each. */
  read: (source: T) => number | null | { labels: Record<string, string>; value: number }[];
  /** A total that only rises; default false, a gauge. */
  isCounter?: boolean;
  labelNames?: string[];
}

/** Registers readings that share one source; null: the source is silent, all are left out. */
export function registerReadings<T>(
  metrics: Metrics,
  source: () => Promise<T | null> | T | null,
  readings: readonly Reading<T>[],
): void {
  const setters = readings.map((reading) => createSetter(metrics, reading));
  metrics.beforeAnswer(async () => {
    const current = await source();
    for (const set of setters) set(current);
  });
}

function createSetter<T>({ registry }: Metrics, reading: Reading<T>) {
  const { help, read, labelNames = [] } = reading;
  const options = { name: `${prefix}${reading.name}`, help, labelNames, registers: [registry] };
  const metric = reading.isCounter ? new Counter(options) : new Gauge(options);
  return (source: T | null): void => {
    metric.reset();
    const value = source === null ? null : read(source);
    if (Array.isArray(value)) for (const one of value) metric.inc(one.labels, one.value);
    else if (value !== null) metric.inc(value);
    // Without this a figure that is not known would read 0.
    else if (labelNames.length === 0) metric.remove();
  };
}
