import type { ClaimAnswer, ClaimedEmail } from "../store/attempts.ts";
import { sleep } from "./abortable.ts";
import {
  type AttemptDeps,
  type Attempted,
  attempt,
  type DeliverySignals,
  givenBack,
  type Turn,
} from "./attempt.ts";
import type { Breaker, Pass } from "./breaker.ts";
import type { DirectDelivery, HeldEmail } from "./direct-delivery.ts";
import type { Headroom } from "./headroom.ts";
import type { RateLimit } from "./rate-limit.ts";
import { repeatUntilTaken } from "./repeat-until-taken.ts";
import { type SettleDeps, type Settled, settle } from "./settle.ts";

export interface DeliverDeps extends SettleDeps, AttemptDeps {
  breaker: Breaker;
  rateLimit: RateLimit;
}

/** How an email that a worker took from the queue left it again. */
export type Delivered =
  | Settled
  | { kind: "not_claimed" }
  /** Another transaction holds its row: to be delivered again in a moment. Nothing was claimed. */
  | { kind: "locked" }
  /** Workers died with it: to be delivered again, in isolation. Nothing was claimed. */
  | { kind: "suspect" };

export interface EmailJob {
  emailId: string;
  wake: number;
  /** No other suspect is under way in this process. */
  isIsolated?: boolean;
  /** It may be ours already, by a claim whose answer was lost. */
  isAgain?: boolean;
  /** To be claimed so long before its time. */
  aheadMs?: number | undefined;
}

/** A job that came earlier than this is given a new one instead of being waited for. */
const waitMsMax = 5_000;

/**
 * Takes one email from its job to its settled end. Rejects only when `signals` end it before
 * anything was claimed, or when the database is gone and we may not wait any longer.
 */
export async function deliver(
  deps: DeliverDeps,
  job: EmailJob,
  signals: DeliverySignals,
): Promise<Delivered> {
  const admission = await deps.rateLimit.admit(signals.drain);
  try {
    const pass = await deps.breaker.enter(signals.drain);
    try {
      return await deliverAdmitted(deps, job, { pass, admission }, signals);
    } finally {
      // Unless the conversation has said more already.
      pass.leave("nothing");
    }
  } finally {
    admission.end();
  }
}

async function deliverAdmitted(
  deps: DeliverDeps,
  job: EmailJob,
  turn: Turn,
  signals: DeliverySignals,
): Promise<Delivered> {
  await deps.failPoints("claim.before", job.emailId);
  const email = await claim(deps, job, signals);
  if (!email) return { kind: "not_claimed" };
  if (email === "suspect" || email === "locked") return { kind: email };
  await deps.failPoints("claim.after", email.id);
  return await end(deps, email, await attempt(deps, email, turn, signals), signals);
}

/** Takes an email that was claimed before its turn to its settled end; rejects as `deliver`. */
export async function deliverClaimed(
  deps: DeliverDeps & { headroom: Headroom; direct: Pick<DirectDelivery, "isFit"> },
  held: HeldEmail,
  signals: DeliverySignals,
): Promise<Delivered> {
  const { opened, standing } = held;
  let leave = () => {};
  let pass: Pass | null = null;
  try {
    if (!held.isPast()) leave = await deps.headroom.enter(standing, signals.drain);
    // A queue that was paused since it was accepted holds it too.
    if (!held.isPast() && deps.direct.isFit) pass = deps.breaker.tryEnter();
  } catch {
    // We are stopping, and say so below by giving it back.
  }
  const email = { ...held.email, ageMs: Math.max(0, held.email.ageMs + Math.round(held.heldMs())) };
  deps.attempts.adopt(email);
  try {
    if (!pass) return await end(deps, email, givenBack(deps, signals), signals);
    const admission = await deps.rateLimit.admit(signals.drain);
    const turn = { pass, admission, ...(opened && { opened }) };
    return await end(deps, email, await attempt(deps, email, turn, signals), signals);
  } finally {
    // Unless the conversation has said more already.
    pass?.leave("nothing");
    leave();
  }
}

async function end(
  deps: DeliverDeps,
  email: ClaimedEmail,
  { verdict, dataKey }: Attempted,
  signals: DeliverySignals,
): Promise<Settled> {
  await deps.failPoints("settle.before", email.id);
  const settled = await repeatUntilTaken(() => settle(deps, email, dataKey, verdict), signals.end);
  await deps.failPoints("settle.after", email.id);
  return settled;
}

/** Asks until there is an answer; rejects when we are stopping. */
export async function askForClaim(
  deps: Pick<DeliverDeps, "attempts">,
  { emailId, wake, isIsolated = false, isAgain = false, aheadMs }: EmailJob,
  signals: DeliverySignals,
): Promise<ClaimAnswer> {
  signals.drain.throwIfAborted();
  let asked = 0;
  return await repeatUntilTaken(() => {
    asked += 1;
    const isAsked = isAgain || asked > 1;
    return deps.attempts.claim(emailId, wake, { isIsolated, isAgain: isAsked, aheadMs });
  }, signals.drain);
}

/** Asks for the right to send, and waits for a time that is near. Null: there is nothing to do. */
async function claim(
  deps: DeliverDeps,
  job: EmailJob,
  signals: DeliverySignals,
): Promise<ClaimedEmail | "suspect" | "locked" | null> {
  const { emailId, wake } = job;
  for (;;) {
    const answer = await askForClaim(deps, job, signals);
    switch (answer.kind) {
      case "claimed":
        return answer.email;
      case "suspect":
      case "locked":
        return answer.kind;
      case "stale":
      case "expired":
      case "held":
        return null;
      case "not_due":
        if (answer.dueInMs > waitMsMax) {
          const next = await repeatUntilTaken(
            () => deps.attempts.rewake(emailId, wake),
            signals.drain,
          );
          if (next) deps.enqueue.add({ id: emailId, ...next });
          return null;
        }
        await sleep(answer.dueInMs, signals.drain);
    }
  }
}
