import { Counter, Histogram } from "@prometheus-io/client";
import type { Attempts, ClaimedEmail, Settlement } from "../store/attempts.ts";
import { latenessBoundsMs } from "../store/minutes.ts";
import type { MinuteCounter } from "./count-minutes.ts";
import { type Metrics, prefix } from "./metrics.ts";

const outcomes = ["sent", "partial", "deferred", "bounced", "uncertain"] as const;
const endStates = ["sent", "partially_sent", "failed", "uncertain", "expired", "held"] as const;
const releaseReasons = [
  "transport_refused",
  "transport_unreachable",
  "sender_refused",
  "destination_backed_off",
  "fence_failed",
  "paused",
  "draining",
  "not_begun_in_time",
  "aborted",
] as const;

/** More emails than any process has under way; forgotten, one is only missing from a histogram. */
const openMax = 5_000;

export interface MeasuredAttempts {
  attempts: Attempts;
  /** To be told of every email whose attempt begins. */
  noteBegun(email: ClaimedEmail): void;
}

/**
 * Counts and times what this process sends, from the beginning of an attempt to its settled end;
 * `minutes` is told of it as well, where there is one.
 */
export function measureAttempts(
  metrics: Metrics,
  attempts: Attempts,
  minutes: Pick<MinuteCounter, "noteAttempt" | "noteLateness"> | null = null,
): MeasuredAttempts {
  const counters = createCounters(metrics);
  const { durations, lateness } = createHistograms(metrics);
  const open = new Map<string, { email: ClaimedEmail; begunAt: number }>();

  function noteBegun(email: ClaimedEmail): void {
    open.set(email.id, { email, begunAt: performance.now() });
    const oldest = open.size > openMax ? open.keys().next().value : undefined;
    if (oldest !== undefined) open.delete(oldest);
  }

  function observe({ id, outcome }: Settlement): void {
    const found = open.get(id);
    if (!found) return;
    durations.observe({ outcome }, (performance.now() - found.begunAt) / 1000);
    const { attempt, attemptsBefore, ageMs } = found.email;
    // A second attempt is late by design.
    if (attempt - attemptsBefore !== 1) return;
    lateness.observe(ageMs / 1000);
    minutes?.noteLateness(ageMs);
  }

  const measured: Attempts = {
    ...attempts,
    async claimDue(request) {
      counters.claims.inc();
      const batch = await attempts.claimDue(request);
      counters.claimed.inc(batch.emails.length);
      return batch;
    },
    async settle(settlement) {
      const answer = await attempts.settle(settlement);
      if (answer.applied) {
        counters.attempts.inc({ outcome: settlement.outcome });
        minutes?.noteAttempt(settlement.outcome);
        if (answer.state !== "pending") counters.ended.inc({ status: answer.state });
        observe(settlement);
      }
      open.delete(settlement.id);
      return answer;
    },
    async release(release) {
      const answer = await attempts.release(release);
      if (answer.applied) counters.released.inc({ reason: release.reason });
      open.delete(release.id);
      return answer;
    },
  };
  return { attempts: measured, noteBegun };
}

function createCounters(metrics: Metrics) {
  return {
    claims: plainCounter(metrics, "claims_total", "Claims that this process has asked for."),
    claimed: plainCounter(metrics, "claimed_emails_total", "Emails that those claims granted."),
    attempts: counterOf(metrics, {
      name: "attempts_total",
      help: "SMTP transactions that this process has settled.",
      label: { outcome: outcomes },
    }),
    ended: counterOf(metrics, {
      name: "emails_ended_total",
      help: "Emails that came to an end here, for good or as a dead letter.",
      label: { status: endStates },
    }),
    released: counterOf(metrics, {
      name: "attempts_released_total",
      help: "Claims given back without spending an attempt.",
      label: { reason: releaseReasons },
    }),
  };
}

function plainCounter({ registry }: Metrics, name: string, help: string): Counter {
  return new Counter({ name: `${prefix}${name}`, help, registers: [registry] });
}

/** Every value is there from the start, so that a rate can be told from its first rise. */
function counterOf<L extends string>(
  { registry }: Metrics,
  { name, help, label }: { name: string; help: string; label: Record<L, readonly string[]> },
): Counter<L> {
  const labelNames = Object.keys(label) as L[];
  const options = { name: `${prefix}${name}`, help, labelNames, registers: [registry] };
  const counter = new Counter<L>(options);
  for (const labelName of labelNames) {
    for (const value of label[labelName]) counter.labels(value).inc(0);
  }
  return counter;
}

function createHistograms({ registry }: Metrics) {
  const durations = new Histogram({
    name: `${prefix}attempt_duration_seconds`,
    help: "From the beginning of an attempt to its settled end.",
    labelNames: ["outcome"],
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600],
    registers: [registry],
  });
  const lateness = new Histogram({
    name: `${prefix}lateness_seconds`,
    help: "How long after its time the first attempt of an email began, by the database's clock.",
    buckets: latenessBoundsMs.map((bound) => bound / 1000),
    registers: [registry],
  });
  return { durations, lateness };
}
