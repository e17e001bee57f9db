import { attemptFailure, failureIndex } from "../content/failure-index.ts";
import type { DataKey, KeyRing } from "../crypto/key-ring.ts";
import { type NextState, nextStateByReplies, nextStateByUncertainty } from "../email/next-state.ts";
import { type RetryBudget, type RetryClock, retriesAllowed } from "../email/retry-schedule.ts";
import type { SmtpReply } from "../email/smtp.ts";
import type { RecipientVerdict, Verdict } from "../mail/classify.ts";
import { isGreylisting } from "../mail/reply-concern.ts";
import type { Ticks } from "../queue/ticks.ts";
import type { Attempts, ClaimedEmail, FailureIndex, Settlement } from "../store/attempts.ts";
import type { Orphan } from "../store/presence.ts";

export interface SettleDeps {
  attempts: Attempts;
  /** Told when an email is due again. */
  ticks: Pick<Ticks, "add">;
  /** Name of the transport, for the record of the attempt. */
  transport: string;
  /** Length of the retry schedule's minute. */
  minuteMs: number;
  random: () => number;
  /** Fingerprints what a recipient was refused with. */
  keyRing: KeyRing;
}

/** What settling came to, for the log. */
export type Settled =
  | { kind: "settled"; state: string; outcome: string }
  | { kind: "released"; reason: string }
  /** The email is not ours any more; nothing was written. */
  | { kind: "dropped" };

export interface SettleOptions {
  /**
   * Writes what is known without any words: no text of a reply, no enhanced code, no fingerprint
   * of what it failed of. For a settle that was refused several times, so that nothing about the
   * words can keep the outcome out.
   */
  isReduced?: boolean;
}

/**
 * Ends an attempt: the only place that decides between retry, dead letter and done. May throw
 * anything; `settling.ts` repeats it until it is written.
 */
export async function settle(
  deps: SettleDeps,
  email: ClaimedEmail,
  dataKey: DataKey | null,
  verdict: Verdict,
  options: SettleOptions = {},
): Promise<Settled> {
  const writeEnded = (ended: EndedAttempt) =>
    write(
      deps,
      options.isReduced ? wordless(deps, email, ended) : settlementOf(deps, email, dataKey, ended),
    );
  switch (verdict.kind) {
    case "drop":
      return { kind: "dropped" };
    case "release": {
      const { reason, delayMs } = verdict;
      const isRefused = verdict.fault !== null || reason === "sender_refused";
      if (isRefused && isTooOld(email, delayMs)) {
        return writeEnded(refusedForAll(email, verdict));
      }
      const answer = await deps.attempts.release({
        id: email.id,
        token: email.token,
        reason,
        delayMs,
      });
      if (!answer.applied) return { kind: "dropped" };
      if (answer.delayMs !== null) deps.ticks.add({ delayMs: answer.delayMs });
      return { kind: "released", reason };
    }
    case "settle": {
      const next = nextState(deps, email, verdict);
      return writeEnded({ ...verdict, outcome: verdict.outcome, next });
    }
    case "uncertain": {
      const next = nextStateByUncertainty(email.onUncertain, budgetOf(email), clockOf(deps));
      return writeEnded({ ...verdict, outcome: "uncertain", next });
    }
  }
}

/** Ends the attempt of a worker that is gone: its body may have arrived, nobody will ever know. */
export function settleOrphan(deps: SettleDeps, orphan: Orphan): Promise<Settled> {
  const next = nextStateByUncertainty(orphan.onUncertain, budgetOf(orphan), clockOf(deps));
  return write(deps, {
    id: orphan.id,
    token: orphan.token,
    transport: deps.transport,
    outcome: "uncertain",
    nextState: next.state,
    retryInMs: next.retryInMs,
    smtpCode: null,
    enhancedCode: null,
    reply: null,
    region: orphan.region,
    recipients: [],
  });
}

async function write(deps: SettleDeps, settlement: Settlement): Promise<Settled> {
  const answer = await deps.attempts.settle(settlement);
  if (!answer.applied) return { kind: "dropped" };
  if (answer.delayMs !== null) deps.ticks.add({ delayMs: answer.delayMs });
  return { kind: "settled", state: answer.state, outcome: settlement.outcome };
}

function nextState(
  deps: SettleDeps,
  email: ClaimedEmail,
  { isCounted, recipients }: Extract<Verdict, { kind: "settle" }>,
): NextState {
  if (!isCounted) return { state: "pending", retryInMs: 0 };
  const isGreylisted = recipients.some(({ status, reply }) => {
    return status === "deferred" && reply !== null && isGreylisting(reply);
  });
  const budget = budgetOf(email, isGreylisted);
  return nextStateByReplies(countRecipients(email, recipients), budget, clockOf(deps));
}

function budgetOf(email: ClaimedEmail | Orphan, isGreylisted = false): RetryBudget {
  return {
    attempts: email.attempt - email.attemptsBefore,
    maxRetries: retriesAllowed(email.maxRetries, isGreylisted),
    ageMs: email.ageMs,
    maxAgeSeconds: email.maxAgeSeconds,
  };
}

function clockOf(deps: SettleDeps): RetryClock {
  return { minuteMs: deps.minuteMs, random: deps.random() };
}

function countRecipients(email: ClaimedEmail, verdicts: RecipientVerdict[]) {
  const count = (status: RecipientVerdict["status"]) =>
    verdicts.filter((verdict) => verdict.status === status).length;
  return {
    sent: email.sentBefore + count("sent"),
    bounced: email.bouncedBefore + count("bounced"),
    deferred: count("deferred"),
  };
}

/** An attempt with all that is to be written about it. */
interface EndedAttempt {
  outcome: Settlement["outcome"];
  next: NextState;
  /** Default: it counts against max_retries. */
  isCounted?: boolean;
  recipients: RecipientVerdict[];
  reply: SmtpReply | null;
  error: string | null;
}

/** The longest between two probes: an email with less time left would not be tried again. */
const longestWaitMs = 30_000;

/** Nobody's attempts are spent on a transport that is down, but nobody waits past max_age. */
function isTooOld(email: ClaimedEmail, delayMs: number): boolean {
  return email.ageMs + Math.max(delayMs, longestWaitMs) > email.maxAgeSeconds * 1000;
}

function refusedForAll(
  email: ClaimedEmail,
  { reply, error }: { reply: SmtpReply | null; error: string | null },
): EndedAttempt {
  const recipients = email.recipients.map(({ position }) => ({
    position,
    status: "deferred" as const,
    reply,
  }));
  const state = email.sentBefore > 0 ? "partially_sent" : "failed";
  return { outcome: "deferred", next: { state, retryInMs: null }, recipients, reply, error };
}

function settlementOf(
  deps: SettleDeps,
  email: ClaimedEmail,
  dataKey: DataKey | null,
  ended: EndedAttempt,
): Settlement {
  // Without its data key an email's replies cannot be kept, for they quote addresses.
  const encrypt = (text: string | null, column: string) =>
    text === null || dataKey === null ? null : dataKey.encryptText(text, column);
  const { reply, error, outcome, next } = ended;
  return {
    id: email.id,
    token: email.token,
    transport: deps.transport,
    outcome,
    nextState: next.state,
    retryInMs: next.retryInMs,
    isCounted: ended.isCounted ?? true,
    smtpCode: reply?.code ?? null,
    enhancedCode: reply?.enhanced ?? null,
    reply: encrypt(reply?.text ?? error, `attempt:${email.attempt}:reply`),
    failure: failureOf(deps, email, dataKey, ended),
    recipients: ended.recipients.map(({ position, status, reply: said }) => ({
      position,
      status,
      smtpCode: said?.code ?? null,
      enhancedCode: said?.enhanced ?? null,
      reply: encrypt(said?.text ?? error, `reply:${position}`),
    })),
  };
}

/** What `settlementOf` says, as numbers and states alone. */
function wordless(
  deps: SettleDeps,
  email: ClaimedEmail,
  { outcome, next, isCounted = true, reply, recipients }: EndedAttempt,
): Settlement {
  return {
    id: email.id,
    token: email.token,
    transport: deps.transport,
    outcome,
    nextState: next.state,
    retryInMs: next.retryInMs,
    isCounted,
    smtpCode: reply?.code ?? null,
    enhancedCode: null,
    reply: null,
    recipients: recipients.map(({ position, status, reply: said }) => ({
      position,
      status,
      smtpCode: said?.code ?? null,
      enhancedCode: null,
      reply: null,
    })),
  };
}

function failureOf(
  { keyRing }: SettleDeps,
  email: ClaimedEmail,
  dataKey: DataKey | null,
  ended: EndedAttempt,
): FailureIndex | null {
  const failure = dataKey && attemptFailure(email, dataKey, ended);
  return failure && failureIndex(keyRing, failure);
}
