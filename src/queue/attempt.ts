import type { DataKey, KeyRing } from "../crypto/key-ring.ts";
import { readMailbox } from "../email/mailbox.ts";
import type { Envelope, SendReport } from "../email/smtp.ts";
import { isAppError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { ByteSemaphore } from "../mail/byte-semaphore.ts";
import { classify, type Verdict } from "../mail/classify.ts";
import type { Transport } from "../mail/transport.ts";
import { transportFaultOf } from "../mail/transport-fault.ts";
import type { Attempts, ClaimedEmail } from "../store/attempts.ts";
import { untilAborted } from "./abortable.ts";
import type { Breaker, Pass } from "./breaker.ts";
import type { FailPoints } from "./fail-points.ts";
import { repeatUntilTaken } from "./repeat-until-taken.ts";

export interface AttemptDeps {
  attempts: Attempts;
  sender: Transport;
  breaker: Breaker;
  keyRing: KeyRing;
  semaphore: ByteSemaphore;
  log: Logger;
  failPoints: FailPoints;
  random: () => number;
}

/** The stop signals of a delivery. */
export interface DeliverySignals {
  /** We are stopping: what is not fenced is given back. */
  drain: AbortSignal;
  /** Time is up: what is fenced is settled as uncertain, and nothing is waited for any more. */
  end: AbortSignal;
}

/** The answer's text, the ciphertext, the message, and the same with its Date in front. */
const copiesAtOnce = 4;

/** Decrypts and sends; whatever goes wrong becomes a verdict, so that the email is settled. */
export async function attempt(
  deps: AttemptDeps,
  email: ClaimedEmail,
  pass: Pass,
  signals: DeliverySignals,
): Promise<{ verdict: Verdict; dataKey: DataKey | null }> {
  let dataKey: DataKey | null = null;
  let giveBack = () => {};
  try {
    dataKey = deps.keyRing.openDataKey(email.wrappedKey, email.id, email.ownerId);
    const envelope = openEnvelope(email, dataKey);
    giveBack = await deps.semaphore.acquire(email.messageBytes * copiesAtOnce, signals.drain);
    const ciphertext = email.message ?? (await readMessage(deps, email, signals));
    if (ciphertext === null) return { verdict: { kind: "drop", reason: "stale" }, dataKey };
    const message = dataKey.decryptBytes(ciphertext, "message");
    return { verdict: await send(deps, { email, envelope, message, pass }, signals), dataKey };
  } catch (error) {
    return { verdict: verdictOfFailure(deps, email, error, signals), dataKey };
  } finally {
    giveBack();
  }
}

function openEnvelope(email: ClaimedEmail, dataKey: DataKey): Envelope {
  return {
    from: dataKey.decryptText(email.sender, "sender"),
    recipients: email.recipients.map(({ position, address }) => ({
      position,
      address: readMailbox(dataKey.decryptText(address, `address:${position}`)).address,
    })),
  };
}

function readMessage(deps: AttemptDeps, email: ClaimedEmail, signals: DeliverySignals) {
  return repeatUntilTaken(() => deps.attempts.readMessage(email), signals.drain);
}

interface Sending {
  email: ClaimedEmail;
  envelope: Envelope;
  message: Uint8Array;
  pass: Pass;
}

async function send(
  deps: AttemptDeps,
  { email, envelope, message, pass }: Sending,
  signals: DeliverySignals,
): Promise<Verdict> {
  let isFenced = false;
  const sending = deps.sender.send({
    emailId: email.id,
    envelope,
    message,
    messageDate: email.messageDate,
    // No repeating here: a fence that did not answer sends no body.
    fence: async (messageDate) => {
      await deps.failPoints("fence.before");
      const answer = await deps.attempts.fence(email.id, email.token, messageDate);
      isFenced = answer.granted;
      await deps.failPoints("fence.after");
      return answer;
    },
    // Others may have found the transport down while this one waited for its turn.
    isWanted: () => pass.isCurrent,
    signal: signals.drain,
  });
  const report = await untilAborted(sending, signals.end).catch(() => null);
  await deps.failPoints("dot.after");
  if (report) {
    pass.leave(showedBy(report));
    return outwait(deps, classify(report, envelope), signals);
  }
  // Time is up. With the fence written the body may be on its way.
  return isFenced
    ? { kind: "uncertain", recipients: [], reply: null, error: "stopped before the reply came" }
    : aborted;
}

/** What a conversation showed of the transport; one that never began, nothing. */
function showedBy(report: SendReport): Parameters<Pass["leave"]>[0] {
  return transportFaultOf(report) ?? (report.withheld === "aborted" ? "nothing" : "works");
}

const spreadMax = 0.25;

/** An email that the transport had no ear for comes back when it may have one, spread out. */
function outwait(deps: AttemptDeps, verdict: Verdict, signals: DeliverySignals): Verdict {
  const isTurnedAway = verdict.kind === "release" && verdict.reason !== "fence_failed";
  const { nextProbeInMs } = deps.breaker.snapshot();
  if (!isTurnedAway || nextProbeInMs === null || signals.drain.aborted) return verdict;
  const spread = 1 + deps.random() * spreadMax;
  return { ...verdict, delayMs: Math.ceil(Math.max(verdict.delayMs, nextProbeInMs) * spread) };
}

const aborted = {
  kind: "release",
  reason: "aborted",
  delayMs: 0,
  fault: null,
  reply: null,
  error: null,
} satisfies Verdict;

/** Nothing was sent: the body is only begun by the transport, which never throws. */
function verdictOfFailure(
  deps: AttemptDeps,
  email: ClaimedEmail,
  error: unknown,
  signals: DeliverySignals,
): Verdict {
  if (signals.drain.aborted) return aborted;
  if (isAppError(error, "database_unavailable")) return { ...aborted, reason: "fence_failed" };
  deps.log.error("email could not be prepared for sending", { email_id: email.id, err: error });
  return {
    kind: "settle",
    outcome: "deferred",
    recipients: email.recipients.map(({ position }) => ({
      position,
      status: "deferred",
      reply: null,
    })),
    reply: null,
    error: "The content could not be decrypted or read; see the log of the service.",
  };
}
