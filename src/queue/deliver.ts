import type { DataKey, KeyRing } from "../crypto/key-ring.ts";
import { readMailbox } from "../email/mailbox.ts";
import type { Envelope } from "../email/smtp.ts";
import { isAppError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { ByteSemaphore } from "../mail/byte-semaphore.ts";
import { classify, type Verdict } from "../mail/classify.ts";
import type { Transport } from "../mail/transport.ts";
import type { ClaimedEmail } from "../store/attempts.ts";
import { sleep, untilAborted } from "./abortable.ts";
import type { FailPoints } from "./fail-points.ts";
import { repeatUntilTaken } from "./repeat-until-taken.ts";
import { type SettleDeps, type Settled, settle } from "./settle.ts";
import type { Pass, TransportGate } from "./transport-gate.ts";

export interface DeliverDeps extends SettleDeps {
  sender: Transport;
  gate: TransportGate;
  keyRing: KeyRing;
  semaphore: ByteSemaphore;
  log: Logger;
  failPoints: FailPoints;
}

/** How an email that a worker took from the queue left it again. */
export type Delivered = Settled | { kind: "not_claimed" };

/** The stop signals of a delivery. */
export interface DeliverySignals {
  /** We are stopping: what is not fenced is given back. */
  drain: AbortSignal;
  /** Time is up: what is fenced is settled as uncertain, and nothing is waited for any more. */
  end: AbortSignal;
}

/** The answer's text, the ciphertext, the message, and the same with its Date in front. */
const copiesAtOnce = 4;
/** A job that came earlier than this is given a new one instead of being waited for. */
const waitMsMax = 5_000;

/**
 * Takes one email from its job to its settled end. Rejects only when `signals` end it before
 * anything was claimed, or when the database is gone and we may not wait any longer.
 */
export async function deliver(
  deps: DeliverDeps,
  job: { emailId: string; wake: number },
  signals: DeliverySignals,
): Promise<Delivered> {
  const pass = await deps.gate.enter(signals.drain);
  let showed: Parameters<Pass["leave"]>[0] = "nothing";
  try {
    await deps.failPoints("claim.before");
    const email = await claim(deps, job, signals);
    if (!email) return { kind: "not_claimed" };
    await deps.failPoints("claim.after");
    const { verdict, dataKey } = await attempt(deps, email, signals);
    if (verdict.kind === "settle") showed = isAnswered(verdict) ? "works" : "unreachable";
    if (verdict.kind === "release" && verdict.pausesTransport) {
      deps.gate.pause(verdict.delayMs);
      deps.log.error("transport refused us; waiting before the next attempt", {
        transport: deps.transport,
        delay_ms: verdict.delayMs,
        ...(verdict.reply ? { smtp_code: verdict.reply.code } : {}),
      });
    }
    await deps.failPoints("settle.before");
    const settled = await repeatUntilTaken(
      () => settle(deps, email, dataKey, verdict),
      signals.end,
    );
    await deps.failPoints("settle.after");
    return settled;
  } finally {
    pass.leave(showed);
  }
}

/** Asks for the right to send, and waits for a time that is near. Null: there is nothing to do. */
async function claim(
  deps: DeliverDeps,
  { emailId, wake }: { emailId: string; wake: number },
  signals: DeliverySignals,
): Promise<ClaimedEmail | null> {
  for (;;) {
    signals.drain.throwIfAborted();
    const answer = await repeatUntilTaken(() => deps.attempts.claim(emailId, wake), signals.drain);
    switch (answer.kind) {
      case "claimed":
        return answer.email;
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

/** Decrypts and sends; whatever goes wrong becomes a verdict, so that the email is settled. */
async function attempt(
  deps: DeliverDeps,
  email: ClaimedEmail,
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
    return { verdict: await send(deps, email, envelope, message, signals), dataKey };
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

function readMessage(deps: DeliverDeps, email: ClaimedEmail, signals: DeliverySignals) {
  return repeatUntilTaken(() => deps.attempts.readMessage(email), signals.drain);
}

async function send(
  deps: DeliverDeps,
  email: ClaimedEmail,
  envelope: Envelope,
  message: Uint8Array,
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
    signal: signals.drain,
  });
  const report = await untilAborted(sending, signals.end).catch(() => null);
  await deps.failPoints("dot.after");
  if (report) return classify(report, envelope);
  // Time is up. With the fence written the body may be on its way.
  return isFenced
    ? { kind: "uncertain", recipients: [], reply: null, error: "stopped before the reply came" }
    : aborted;
}

const aborted = {
  kind: "release",
  reason: "aborted",
  delayMs: 0,
  pausesTransport: false,
  reply: null,
  error: null,
} satisfies Verdict;

/** Whether the next hop said anything, good or bad, to us or about a recipient. */
function isAnswered({ reply, recipients }: Extract<Verdict, { kind: "settle" }>): boolean {
  return reply !== null || recipients.some((recipient) => recipient.reply !== null);
}

/** Nothing was sent: the body is only begun by the transport, which never throws. */
function verdictOfFailure(
  deps: DeliverDeps,
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
