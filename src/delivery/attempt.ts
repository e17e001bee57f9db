import type { OpenedEmail } from "../content/encrypt-email.ts";
import { decryptMessage } from "../content/stored-message.ts";
import type { DataKey, KeyRing } from "../crypto/key-ring.ts";
import { readMailbox } from "../email/mailbox.ts";
import type { Envelope } from "../email/smtp.ts";
import { isAppError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Verdict } from "../mail/classify.ts";
import type { Transport } from "../mail/transport.ts";
import { untilAborted } from "../runtime/abortable.ts";
import type { ByteSemaphore } from "../runtime/byte-semaphore.ts";
import { collectAfter } from "../runtime/collect.ts";
import type { FailPoints } from "../runtime/fail-points.ts";
import { repeatUntilTaken } from "../runtime/repeat-until-taken.ts";
import type { Attempts, ClaimedEmail } from "../store/attempts.ts";
import { domainOf } from "./domain-of.ts";
import { type JudgeDeps, judgeReport } from "./judge-report.ts";
import type { Breaker, Pass } from "./limits/breaker.ts";
import type { Admission } from "./limits/rate-limit.ts";
import { logRefusal } from "./log-refusal.ts";

export interface AttemptDeps extends JudgeDeps {
  attempts: Attempts;
  sender: Transport;
  breaker: Breaker;
  keyRing: KeyRing;
  semaphore: ByteSemaphore;
  log: Logger;
  failPoints: FailPoints;
  random: () => number;
}

/** What an email was given before its claim. */
export interface Turn {
  pass: Pass;
  admission: Admission;
  /** The decrypted email when it was accepted just now: nothing need be read and decrypted. */
  opened?: OpenedEmail;
}

/** The stop signals of a delivery. */
export interface DeliverySignals {
  /** We are stopping: what is not fenced is given back. */
  drain: AbortSignal;
  /** Time is up: what is fenced is settled as uncertain, and nothing is waited for any more. */
  end: AbortSignal;
}

/** What an attempt came to; the key encrypts what was said. */
export interface Attempted {
  verdict: Verdict;
  dataKey: DataKey | null;
}

/** What waits for one moment comes back over this much more of the wait. */
const spreadMax = 0.25;
/** The answer's text, the ciphertext, the message, and the same with its Date in front. */
const copiesAtOnce = 4;

/** Decrypts and sends; whatever goes wrong becomes a verdict, so that the email is settled. */
export async function attempt(
  deps: AttemptDeps,
  email: ClaimedEmail,
  turn: Turn,
  signals: DeliverySignals,
): Promise<Attempted> {
  let dataKey: DataKey | null = null;
  let giveBack = () => {};
  let sender: string | null = null;
  try {
    dataKey =
      turn.opened?.dataKey ?? deps.keyRing.openDataKey(email.wrappedKey, email.id, email.ownerId);
    const envelope = turn.opened?.envelope ?? openEnvelope(email, dataKey);
    const notNow = verdictOfWaits(deps, email, envelope, turn.pass);
    if (notNow) return { verdict: notNow, dataKey };
    sender = envelope.from;
    await turn.admission.awaitSlot(signals.drain);
    giveBack = await deps.semaphore.acquire(email.messageBytes * copiesAtOnce, signals.drain);
    const message = turn.opened?.message ?? (await openMessage(deps, email, dataKey, signals));
    if (message === null) return { verdict: { kind: "drop", reason: "stale" }, dataKey };
    return { verdict: await send(deps, { email, envelope, message, ...turn }, signals), dataKey };
  } catch (error) {
    return { verdict: verdictOfFailure(deps, email, error, signals), dataKey };
  } finally {
    if (sender !== null) deps.senders.leave(sender);
    giveBack();
    collectAfter(email.messageBytes);
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

async function openMessage(
  deps: AttemptDeps,
  email: ClaimedEmail,
  dataKey: DataKey,
  signals: DeliverySignals,
): Promise<Uint8Array | null> {
  const read = () => deps.attempts.readMessage(email);
  const ciphertext = email.message ?? (await repeatUntilTaken(read, signals.drain));
  const { messageBytes } = email;
  return ciphertext && decryptMessage(dataKey, { message: ciphertext, messageBytes });
}

interface Sending extends Turn {
  email: ClaimedEmail;
  envelope: Envelope;
  message: Uint8Array;
}

async function send(
  deps: AttemptDeps,
  { email, envelope, message, pass, admission }: Sending,
  signals: DeliverySignals,
): Promise<Verdict> {
  let isFenced = false;
  let isTurnedBack = false;
  await deps.failPoints("connect.before", email.id);
  const sending = deps.sender.send({
    emailId: email.id,
    ownerId: email.ownerId,
    envelope,
    message,
    messageDate: email.messageDate,
    // No repeating here: a fence that did not answer sends no body.
    fence: async (messageDate) => {
      await admission.approach(signals.drain).catch((error) => {
        isTurnedBack = true;
        throw error;
      });
      await deps.failPoints("fence.before", email.id);
      const answer = await deps.attempts.fence(email.id, email.token, messageDate);
      isFenced = answer.granted;
      // The claim is returned as unfenced by now, or about to be settled as uncertain: no body may go.
      signals.end.throwIfAborted();
      await deps.failPoints("fence.after", email.id);
      if (answer.granted) await admission.handOver(signals.end);
      return answer;
    },
    // Others may have found the transport down while this one waited for its turn.
    isWanted: () => pass.isCurrent,
    signal: signals.drain,
  });
  let fault: unknown = null;
  const report = await untilAborted(sending, signals.end).catch((error: unknown) => {
    if (!signals.end.aborted) fault = error;
    return null;
  });
  admission.answered();
  try {
    await deps.failPoints("dot.after", email.id);
    if (isTurnedBack) return aborted;
    // A transport answers whatever happens at the next hop: only a fault of ours rejects.
    if (fault !== null) throw fault;
    if (report) {
      const conversation = { emailId: email.id, envelope, report, pass };
      const verdict = await judgeReport(deps, conversation, signals.drain);
      logRefusal(deps.log, email, conversation, verdict);
      return returnUntilProbe(deps, verdict, signals);
    }
  } catch (error) {
    if (!isFenced) throw error;
    // The next hop may have it: no error of ours may make this an attempt that sent nothing.
    deps.log.error("conversation or reply could not be judged", {
      email_id: email.id,
      err: error,
    });
    return uncertain("What the next hop said could not be judged; see the log of the service.");
  }
  // Time is up. With the fence written the body may be on its way.
  return isFenced ? uncertain("stopped before the reply came") : aborted;
}

function uncertain(error: string): Verdict {
  return { kind: "uncertain", recipients: [], reply: null, error };
}

/** No attempt is spent on what waits for a probe, for its sender or for its domains. */
function verdictOfWaits(
  deps: AttemptDeps,
  email: ClaimedEmail,
  envelope: Envelope,
  pass: Pass,
): Verdict | null {
  const { from: sender, recipients } = envelope;
  const probeMs = pass.identify({ emailId: email.id, sender });
  if (probeMs !== null) return { ...aborted, delayMs: spread(deps, probeMs) };
  const domainMs = spread(deps, deps.destinations.remainingMs(recipients.map(domainOf)));
  if (mayWait(email, domainMs)) {
    return { ...aborted, reason: "destination_backed_off", delayMs: domainMs };
  }
  const senderMs = spread(deps, deps.senders.enter(sender));
  return mayWait(email, senderMs)
    ? { ...aborted, reason: "sender_refused", delayMs: senderMs }
    : null;
}

/** An email that would be older than it may be is tried all the same. */
function mayWait({ ageMs, maxAgeSeconds }: ClaimedEmail, waitMs: number): boolean {
  return waitMs > 0 && ageMs + waitMs <= maxAgeSeconds * 1000;
}

function spread({ random }: AttemptDeps, waitMs: number): number {
  return Math.ceil(waitMs * (1 + random() * spreadMax));
}

/** Delays a returned email until the breaker's next probe, with jitter. */
function returnUntilProbe(deps: AttemptDeps, verdict: Verdict, signals: DeliverySignals): Verdict {
  const isTurnedAway = verdict.kind === "release" && verdict.reason !== "fence_failed";
  const { nextProbeInMs } = deps.breaker.snapshot();
  if (!isTurnedAway || nextProbeInMs === null || signals.drain.aborted) return verdict;
  // The breaker's wait has the scale of RETRY_BASE_MS; what the verdict says has not.
  const waitMs = Math.max(verdict.fault ? 1 : verdict.delayMs, nextProbeInMs);
  return { ...verdict, delayMs: spread(deps, waitMs) };
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
  deps.log.error("email could not be prepared or sent", { email_id: email.id, err: error });
  return {
    kind: "settle",
    outcome: "deferred",
    isCounted: true,
    recipients: email.recipients.map(({ position }) => ({
      position,
      status: "deferred",
      reply: null,
    })),
    reply: null,
    error: "The content could not be read or sent; see the log of the service.",
  };
}
