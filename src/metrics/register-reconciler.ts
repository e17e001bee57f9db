import type { ReconcileReport, RoundReport } from "../delivery/reconcile-report.ts";
import type { Metrics } from "./metrics.ts";
import { type Reading, registerReadings } from "./register-readings.ts";

type Total = keyof RoundReport;

/** What the reconciler has found since the start, and how its region stands. */
export function registerReconciler(metrics: Metrics, report: () => ReconcileReport): void {
  registerReadings(metrics, report, [
    total("rounds_total", "Rounds that came to their end.", ({ rounds }) => rounds),
    total("failed_rounds_total", "Rounds that broke off.", ({ failures }) => failures),
    total("dead_workers_total", "Processes found dead.", of("deadWorkers")),
    total("taken_over_total", "Un-fenced emails of dead processes, freed.", of("takenOver")),
    total(
      "orphans_settled_total",
      "Fenced emails of dead processes, settled as uncertain.",
      of("orphansSettled"),
    ),
    total("poison_held_total", "Emails held because they kill workers.", of("poisonHeld")),
    gauge("last_round_timestamp_seconds", "Unix time of the last round's end.", (found) =>
      found.lastRoundAt === null ? null : found.lastRoundAt.getTime() / 1000,
    ),
    gauge("last_round_duration_seconds", "How long the last round took.", ({ lastRoundMs }) =>
      seconds(lastRoundMs),
    ),
    gauge(
      "region_oldest_due_seconds",
      "How long the email of this region that is due longest has waited.",
      ({ regionStatus }) => seconds(regionStatus?.oldestDueMs ?? null),
    ),
    gauge(
      "region_due_emails",
      "Emails of this region that are due and unclaimed, counted up to 100000.",
      ({ regionStatus }) => regionStatus?.dueUnclaimed ?? null,
    ),
    gauge(
      "dead_regions",
      "Regions in which nothing sends and whose due emails others claim.",
      ({ regionStatus }) => regionStatus?.deadRegions.length ?? null,
    ),
    {
      name: "journal_broken",
      help: "1 once an entry of the journal does not verify, until it does.",
      read: ({ regionStatus }) =>
        regionStatus === null ? null : Number(regionStatus.journalBrokenSince !== null),
    },
    {
      name: "clock_skew_seconds",
      help: "By how much this process's clock is ahead of (positive) or behind another's.",
      labelNames: ["of"],
      read: ({ skewMs }) => [...skewOf("database", skewMs), ...skewOf("redis", skewMs)],
    },
  ]);
}

function of(name: Total) {
  return (report: ReconcileReport) => report[name];
}

function total(name: string, help: string, read: Reading<ReconcileReport>["read"]) {
  return { name: `reconciler_${name}`, help, read, isCounter: true };
}

function gauge(name: string, help: string, read: Reading<ReconcileReport>["read"]) {
  return { name: `reconciler_${name}`, help, read };
}

function seconds(ms: number | null): number | null {
  return ms === null ? null : ms / 1000;
}

function skewOf(of: "database" | "redis", skewMs: ReconcileReport["skewMs"]) {
  const ms = skewMs[of];
  return ms === null ? [] : [{ labels: { of }, value: ms / 1000 }];
}
