import type { ClaimAnswer, ClaimedEmail } from "../store/attempts.ts";
import { contendedError } from "../store/call-error.ts";
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
import type { Enqueue } from "./enqueue.ts";
import type { Headroom } from "./headroom.ts";
import type { Holdings } from "./holdings.ts";
import type { RateLimit } from "./rate-limit.ts";
import { repeatUntilTaken } from "./repeat-until-taken.ts";
import type { Settled } from "./settle.ts";
import type { Repeating, Settling } from "./settling.ts";

export interface DeliverDeps extends AttemptDeps {
  breaker: Breaker;
  rateLimit: RateLimit;
  enqueue: Pick<Enqueue, "add">;
  holdings: Holdings;
  settling: Settling;
}

/** How an email that a worker took from the queue left it again. */
export type Delivered =
  | Settled
  /** It was tried; what came of it is yet to be written, in the background. */
  | Repeating
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
  /** To be claimed so long before its time. */
  aheadMs?: number | undefined;
}

/** A job that came earlier than this is given a new one instead of being waited for. */
const waitMsMax = 5_000;

/**
 * Takes one email from its job to its settled end. Rejects only when `signals` end it before
 * anything was claimed.
 */
export async function deliver(
  deps: DeliverDeps,
  job: EmailJob,
  signals: DeliverySignals,
): Promise<Delivered> {
  await deps.settling.awaitRoom(signals.drain);
  const begun = await beginAdmitted(deps, job, signals);
  if (!("email" in begun)) return begun;
  return await end(deps, begun, signals).finally(begun.drop);
}

/** An attempt that is over; the claim is held until `drop`. */
interface Begun {
  email: ClaimedEmail;
  attempted: Attempted;
  drop: () => void;
}

/** Permits are given back before the outcome is written, which may take long. */
async function beginAdmitted(
  deps: DeliverDeps,
  job: EmailJob,
  signals: DeliverySignals,
): Promise<Begun | Delivered> {
  const admission = await deps.rateLimit.admit(signals.drain);
  try {
    const pass = await deps.breaker.enter(signals.drain);
    try {
      return await begin(deps, job, { pass, admission }, signals);
    } finally {
      // Unless the conversation has said more already.
      pass.leave("nothing");
    }
  } finally {
    admission.end();
  }
}

async function begin(
  deps: DeliverDeps,
  job: EmailJob,
  turn: Turn,
  signals: DeliverySignals,
): Promise<Begun | Delivered> {
  await deps.failPoints("claim.before", job.emailId);
  const granted = await claim(deps, job, signals);
  if (!granted) return { kind: "not_claimed" };
  if (granted === "suspect" || granted === "locked") return { kind: granted };
  const { email, drop } = granted;
  try {
    await deps.failPoints("claim.after", email.id);
    await deps.failPoints("begin.before", email.id);
    return { email, attempted: await attempt(deps, email, turn, signals), drop };
  } catch (error) {
    drop();
    throw error;
  }
}

/** Takes an email that was claimed before its turn to its settled end; rejects as `deliver`. */
export async function deliverClaimed(
  deps: DeliverDeps & { headroom: Headroom; direct: Pick<DirectDelivery, "isFit"> },
  held: HeldEmail,
  signals: DeliverySignals,
): Promise<Delivered> {
  const { standing } = held;
  let leave = () => {};
  let pass: Pass | null = null;
  await deps.failPoints("begin.before", held.email.id);
  try {
    if (!held.isPast()) leave = await deps.headroom.enter(standing, signals.drain);
    // A queue that was paused since it was accepted holds it too.
    if (!held.isPast() && deps.direct.isFit) pass = deps.breaker.tryEnter();
  } catch {
    // We are stopping, and say so below by giving it back.
  }
  const email = { ...held.email, ageMs: Math.max(0, held.email.ageMs + Math.round(held.heldMs())) };
  deps.attempts.adopt(email);
  const attempted = await attemptHeld(deps, { held, email, pass }, signals).finally(() => {
    // Unless the conversation has said more already.
    pass?.leave("nothing");
    leave();
  });
  return await end(deps, { email, attempted }, signals);
}

async function attemptHeld(
  deps: DeliverDeps,
  { held: { opened }, email, pass }: { held: HeldEmail; email: ClaimedEmail; pass: Pass | null },
  signals: DeliverySignals,
): Promise<Attempted> {
  if (!pass) return givenBack(deps, signals);
  const admission = await deps.rateLimit.admit(signals.drain).catch(() => null);
  if (!admission) return givenBack(deps, signals);
  try {
    return await attempt(deps, email, { pass, admission, ...(opened && { opened }) }, signals);
  } finally {
    admission.end();
  }
}

async function end(
  deps: DeliverDeps,
  { email, attempted: { verdict, dataKey } }: Omit<Begun, "drop">,
  signals: DeliverySignals,
): Promise<Settled | Repeating> {
  await deps.failPoints("settle.before", email.id);
  const settled = await deps.settling.end({ email, dataKey, verdict }, signals.end);
  await deps.failPoints("settle.after", email.id);
  return settled;
}

/** A claim that was granted is held until `drop`, which is null with every other answer. */
export type HeldAnswer =
  | { answer: Extract<ClaimAnswer, { kind: "claimed" }>; drop: () => void }
  | { answer: Exclude<ClaimAnswer, { kind: "claimed" }>; drop: null };

/** Asks until there is an answer, and holds what it grants; rejects when we are stopping. */
export async function askForClaim(
  deps: Pick<DeliverDeps, "attempts" | "holdings">,
  job: EmailJob,
  signals: DeliverySignals,
): Promise<HeldAnswer> {
  const asking = deps.holdings.ask([job.emailId]);
  try {
    const answer = await askUntilAnswered(deps, job, signals);
    return answer.kind === "claimed"
      ? { answer, drop: deps.holdings.hold(answer.email) }
      : { answer, drop: null };
  } catch (error) {
    asking.lose();
    throw error;
  } finally {
    asking.end();
  }
}

async function askUntilAnswered(
  deps: Pick<DeliverDeps, "attempts">,
  { emailId, wake, isIsolated = false, aheadMs }: EmailJob,
  signals: DeliverySignals,
): Promise<ClaimAnswer> {
  signals.drain.throwIfAborted();
  let asked = 0;
  return await repeatUntilTaken(async () => {
    asked += 1;
    const options = { isIsolated, isAgain: asked > 1, aheadMs };
    const answer = await deps.attempts.claim(emailId, wake, options);
    // The lock may be that of our own earlier claim, which has yet to commit: whoever asks later
    // and does not know of it would take the email for somebody else's.
    if (answer.kind === "locked" && asked > 1) {
      throw contendedError(new Error("locked, maybe by the claim that had no answer"));
    }
    return answer;
  }, signals.drain);
}

/** Asks for the right to send, and waits for a time that is near. Null: there is nothing to do. */
async function claim(
  deps: DeliverDeps,
  job: EmailJob,
  signals: DeliverySignals,
): Promise<{ email: ClaimedEmail; drop: () => void } | "suspect" | "locked" | null> {
  const { emailId, wake } = job;
  for (;;) {
    const { answer, drop } = await askForClaim(deps, job, signals);
    if (drop) return { email: answer.email, drop };
    switch (answer.kind) {
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
