import type { EmailState, OnUncertain } from "./email.ts";
import { type RetryBudget, type RetryClock, retryDelayMs } from "./retry-schedule.ts";

/** The recipients of an email after an attempt, counted. */
export interface RecipientCounts {
  /** Sent by this or an earlier attempt. */
  sent: number;
  bounced: number;
  deferred: number;
}

/** Where an email goes when an attempt has ended. */
export interface NextState {
  state: Extract<EmailState, "sent" | "partially_sent" | "failed" | "pending" | "uncertain">;
  /** From now; null unless the state is pending. */
  retryInMs: number | null;
}

/** After an attempt whose replies are known. */
export function nextStateByReplies(
  counts: RecipientCounts,
  budget: RetryBudget,
  clock: RetryClock,
): NextState {
  const retryInMs = counts.deferred > 0 ? retryDelayMs(budget, clock) : null;
  if (retryInMs !== null) return { state: "pending", retryInMs };
  if (counts.sent === 0) return { state: "failed", retryInMs };
  const isComplete = counts.bounced + counts.deferred === 0;
  return { state: isComplete ? "sent" : "partially_sent", retryInMs };
}

/** After an attempt whose reply never came although the body may have arrived. */
export function nextStateByUncertainty(
  onUncertain: OnUncertain,
  budget: RetryBudget,
  clock: RetryClock,
): NextState {
  const retryInMs = onUncertain === "retry" ? retryDelayMs(budget, clock) : null;
  return { state: retryInMs === null ? "uncertain" : "pending", retryInMs };
}
