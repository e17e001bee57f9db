import type { FailPoints } from "../runtime/fail-points.ts";
import type { ClaimedWebhook, DeliveryRecord, WebhookWork } from "../store/webhook-work.ts";
import type { DeliveryOutcome } from "../store/webhooks.ts";
import type { Job } from "./endpoint-queue.ts";
import { holdMs, retryInMs, type WaitOptions } from "./retry-waits.ts";
import type { Sent } from "./send.ts";
import { unlessDown } from "./unless-down.ts";

/** What became of the tries of one endpoint, until it is written. */
export interface EndpointRecord {
  /** In a row, up to now. */
  readonly failures: number;
  readonly isGone: boolean;
  /** Another process has the endpoint, or it was deleted or disabled. */
  readonly isLost: boolean;
  /** Its owner changed it. */
  readonly isChanged: boolean;
  /** The database did not take what was to be written: nothing is begun before it has. */
  readonly isStalled: boolean;
  readonly size: number;
  has(id: string): boolean;
  note(job: Job, sent: Sent): DeliveryOutcome;
  /** Writes what has waited, or is much, or keeps the lease; `cursor` is asked at that moment. */
  flush(cursor: () => number): Promise<void>;
  /** Writes everything and gives the endpoint back. */
  giveBack(cursor: () => number): Promise<void>;
}

export interface RecordDeps {
  work: Pick<WebhookWork, "record">;
  /** Results are then written once a second, and not 25 times. */
  isBusy: () => boolean;
  failPoints: FailPoints;
  waits: WaitOptions;
  leaseMs: number;
  encrypt: (answer: string) => string;
}

export const flushAfterMs = 40;
const flushAfterMsBusy = 1_000;
const flushFrom = 50;

export function createEndpointRecord(webhook: ClaimedWebhook, deps: RecordDeps): EndpointRecord {
  const { work, waits, leaseMs, encrypt, isBusy, failPoints } = deps;
  let results: DeliveryRecord[] = [];
  let waitingSince = 0;
  let writtenAt = performance.now();
  const state = { failures: webhook.failures, isGone: false };
  const told = { isLost: false, isChanged: false, isStalled: false };

  async function write(cursor: number, lease: number): Promise<void> {
    const written = results;
    results = [];
    writtenAt = performance.now();
    const heldMs = lease === 0 ? holdMs(state.failures, waits) : null;
    const place = { webhook, cursor, results: written, leaseMs: lease, heldMs };
    const answer = await unlessDown(work.record({ ...place, ...state }));
    await failPoints("record.after");
    told.isStalled = answer === null;
    if (answer === null) {
      results = [...written, ...results];
      return;
    }
    told.isLost = !answer.isOurs || answer.disabled !== null;
    told.isChanged = answer.isChanged;
  }

  return {
    get failures() {
      return state.failures;
    },
    get isGone() {
      return state.isGone;
    },
    get isLost() {
      return told.isLost;
    },
    get isChanged() {
      return told.isChanged;
    },
    get isStalled() {
      return told.isStalled;
    },
    get size() {
      return results.length;
    },
    has: (id) => results.some((result) => result.id === id),
    note(job, sent) {
      state.failures = sent.isSuccess ? 0 : state.failures + 1;
      state.isGone ||= sent.isGone;
      if (results.length === 0) waitingSince = performance.now();
      const retry = sent.isSuccess ? null : retryInMs(job.tries + 1, sent.retryAfterMs, waits);
      const result = recordOf(job, sent, retry, sent.answer && encrypt(sent.answer));
      results.push(result);
      return result.outcome;
    },
    async flush(cursor) {
      const now = performance.now();
      const afterMs = isBusy() ? flushAfterMsBusy : flushAfterMs;
      const isMuch = results.length >= flushFrom || now - waitingSince >= afterMs;
      const mustRenew = now - writtenAt >= leaseMs / 3;
      if ((results.length > 0 && isMuch) || mustRenew) await write(cursor(), leaseMs);
    },
    async giveBack(cursor) {
      // What the database does not take now is begun anew once the lease is over.
      if (!told.isLost) await write(cursor(), 0);
    },
  };
}

function recordOf(
  { id, type, event }: Job,
  sent: Sent,
  retryMs: number | null,
  answer: string | null,
): DeliveryRecord {
  const { position, emailId, sequence } = event;
  return {
    ...{ id, type, position, emailId, sequence, answer },
    outcome: sent.isSuccess ? "delivered" : retryMs === null ? "failed" : "pending",
    statusCode: sent.statusCode,
    error: sent.error,
    durationMs: sent.durationMs,
    retryInMs: retryMs,
  };
}
