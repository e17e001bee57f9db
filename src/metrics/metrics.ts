import { Registry } from "@prometheus-io/client";

/** Every name starts with it, but for the `process_…` that all Prometheus clients share. */
export const prefix = "taskforce_mailer_";

/** What the program counts and measures of itself, in Prometheus' text format. */
export interface Metrics {
  readonly registry: Registry;
  /** Runs before each answer, to bring gauges up to date. Must not throw. */
  beforeAnswer(refresh: () => Promise<void> | void): void;
  /** The answer to a scrape. Figures that nobody can tell at the moment are left out. */
  text(): Promise<string>;
  readonly contentType: string;
}

/**
 * Labels are names from the code and the configuration only (outcome, function, route pattern),
 * never anything of an email or a caller: so there are few of them, and nothing leaks.
 */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const refreshers: (() => Promise<void> | void)[] = [];
  return {
    registry,
    beforeAnswer(refresh) {
      refreshers.push(refresh);
    },
    async text() {
      await Promise.all(refreshers.map((refresh) => refresh()));
      return await registry.metrics();
    },
    contentType: registry.contentType,
  };
}
