import type { SendReport, SmtpPhase, SmtpReply } from "../email/smtp.ts";
import { createDeadline } from "../runtime/deadline.ts";
import { GatedMessage } from "./gated-message.ts";
import { dateBefore, wholeSeconds } from "./message-date.ts";
import { isPositive } from "./smtp-reply.ts";
import type { SmtpSession } from "./smtp-session.ts";
import type { SendRequest } from "./transport.ts";

export interface SmtpTimeouts {
  /** For each command and its reply; a stretch of several has twice as long. */
  commandMs: number;
  /** For the answer of the fence. */
  fenceMs: number;
  /** For the reply to the dot. */
  replyMs: number;
}

/** What a conversation came to, before the transport's name is put to it. */
export type Ending = Omit<SendReport, "transport">;

/** A server that takes a body slower than this (16 kB/s) is treated as hanging. */
const slowestBytesPerMs = 16;

/** Connects and logs in, within its deadline. Null: done; else how it ended. */
export async function openSession(
  session: SmtpSession,
  signal: AbortSignal,
  timeouts: SmtpTimeouts,
): Promise<Ending | null> {
  let isAborted = false;
  const deadline = createDeadline((ms) => session.close(timedOut(ms)));
  function onAbort(): void {
    isAborted = true;
    session.close(stopping);
  }
  signal.addEventListener("abort", onAbort);
  session.transcript.onReply = () => deadline.step();
  deadline.start({ stepMs: timeouts.commandMs, totalMs: timeouts.commandMs * 2 });
  await session.open();
  deadline.stop();
  signal.removeEventListener("abort", onAbort);
  return session.failure ? setupEnding(session, isAborted) : null;
}

function setupEnding({ transcript, failure }: SmtpSession, isAborted: boolean): Ending {
  const { phase, lastReply } = transcript;
  // A TLS handshake from the first byte counts as STARTTLS: it is the same fault to mend.
  const isHandshake = failure?.isTls === true && phase === "connect";
  const isRefused = lastReply !== null && !isAborted && isRefusal(phase, lastReply);
  const refusal = failure?.refusal ?? (isRefused ? lastReply : null);
  return {
    ...nothingSent(isHandshake ? "starttls" : phase),
    reply: refusal,
    error: refusal || isAborted ? null : (failure?.words ?? null),
    withheld: isAborted ? "aborted" : null,
  };
}

/** A reply that was fine is no reason for the end that followed it. */
function isRefusal(phase: SmtpPhase, reply: SmtpReply): boolean {
  return reply.code >= 400 || (phase === "greeting" && reply.code !== 220);
}

/** Sends one message over an open session. Never rejects. */
export async function converse(
  session: SmtpSession,
  request: SendRequest,
  timeouts: SmtpTimeouts,
  now: () => Date,
): Promise<Ending> {
  const { envelope, message, signal } = request;
  const { transcript } = session;
  const messageDate = wholeSeconds(request.messageDate ?? now());
  const size = dateBefore(message, messageDate).length + message.length;
  transcript.beginMessage();
  const tooLarge = sizeRefusal(size, transcript.announced.sizeBytesMax);
  if (tooLarge) return { ...nothingSent("mail"), reply: tooLarge };

  const deadline = createDeadline((ms) => session.close(timedOut(ms)));
  const bodyLimits = bodyTimeouts(size, timeouts);
  const gate = new GatedMessage({
    message,
    messageDate,
    fence: request.fence,
    fenceTimeoutMs: timeouts.fenceMs,
    onAsk: () => deadline.start(null),
    onOpen: () => deadline.start(bodyLimits),
    onProgress: () => deadline.step(),
  });
  let isAborted = false;
  function onAbort(): void {
    // Once asked, the fence's answer decides: what it grants is sent, what it refuses is not.
    if (gate.state !== "shut") return;
    isAborted = true;
    gate.shut();
    session.close(stopping);
  }
  signal.addEventListener("abort", onAbort);
  transcript.onReply = () => deadline.step();
  deadline.start(envelopeTimeouts(envelope.recipients.length, timeouts));
  if (signal.aborted) onAbort();
  const to = envelope.recipients.map(({ address }) => address);
  await session.send({ from: envelope.from, to, size, body: gate });
  deadline.stop();
  signal.removeEventListener("abort", onAbort);
  gate.shut();
  await gate.settled();
  const ending = endingOf(session, gate, request, isAborted);
  if (gate.state === "withheld" && gate.wasAsked) session.close(withheldFailure);
  if (gate.state === "open") session.close(withheldFailure);
  return { ...ending, messageDate: isBodyStarted(gate) ? messageDate : null };
}

function envelopeTimeouts(recipients: number, { commandMs }: SmtpTimeouts) {
  return { stepMs: commandMs, totalMs: commandMs * 2 + (recipients * commandMs) / 6 };
}

function bodyTimeouts(sizeBytes: number, { replyMs }: SmtpTimeouts) {
  return { stepMs: replyMs, totalMs: replyMs + sizeBytes / slowestBytesPerMs };
}

function endingOf(
  session: SmtpSession,
  gate: GatedMessage,
  request: SendRequest,
  isAborted: boolean,
): Ending {
  const recipients = rcptReplies(session, request);
  if (gate.wasAsked) return { ...endingBehindGate(session, gate), recipients };
  const { phase, reply } = refusal(session, request) ?? { phase: lostPhase(session), reply: null };
  return {
    ...nothingSent(phase),
    reply,
    // With the sender refused, the RCPT replies only say that there was no sender.
    recipients: phase === "mail" ? [] : recipients,
    error: reply || isAborted ? null : words(session),
    withheld: isAborted && !reply ? "aborted" : null,
  };
}

function rcptReplies({ transcript }: SmtpSession, { envelope }: SendRequest) {
  return envelope.recipients.flatMap(({ position }, i) => {
    const reply = transcript.rcptReplies[i];
    return reply ? [{ position, reply }] : [];
  });
}

/** The reply that ended the message before DATA was taken; null: the connection was lost. */
function refusal({ transcript }: SmtpSession, { envelope }: SendRequest) {
  const { mailReply, rcptReplies, dataReply } = transcript;
  if (mailReply && !isPositive(mailReply)) return { phase: "mail" as const, reply: mailReply };
  const closing = rcptReplies.find((reply) => reply?.code === 421);
  if (closing) return { phase: "rcpt" as const, reply: closing };
  const isAllRefused = !rcptReplies.some((reply) => reply && isPositive(reply));
  const last = rcptReplies.at(-1);
  if (last && isAllRefused && rcptReplies.length === envelope.recipients.length)
    return { phase: "rcpt" as const, reply: last };
  if (dataReply && dataReply.code >= 400) return { phase: "data" as const, reply: dataReply };
  return null;
}

function lostPhase({ transcript }: SmtpSession): SmtpPhase {
  const { phase } = transcript;
  return phase === "mail" || phase === "rcpt" ? phase : "data";
}

/** From the fence on: what is known for certain, and what is not. */
function endingBehindGate(session: SmtpSession, gate: GatedMessage): Ending {
  const { dotReply } = session.transcript;
  const fenced = gate.isFenced;
  if (gate.state === "withheld") {
    const { withheld } = gate;
    return { ...nothingSent("fence"), fenced, withheld, error: withheld ? null : words(session) };
  }
  // A 2xx before the dot is out cannot mean this message.
  const isEarly = gate.state === "open";
  const isUsable = dotReply && (dotReply.code >= 400 || (isPositive(dotReply) && !isEarly));
  const reply = isUsable ? dotReply : null;
  const phase = isEarly ? "body" : "reply";
  return { ...nothingSent(phase), fenced, reply, error: reply ? null : words(session) };
}

function isBodyStarted({ state }: GatedMessage): boolean {
  return state === "open" || state === "finished";
}

function words({ failure }: SmtpSession): string {
  return failure?.words ?? "the server's answer made no sense";
}

function nothingSent(phase: SmtpPhase): Ending {
  return {
    phase,
    fenced: false,
    messageDate: null,
    reply: null,
    recipients: [],
    error: null,
    withheld: null,
  };
}

/**
 * nodemailer refuses such a message by itself, without a reply; this is the reply the server has
 * announced (RFC 1870 section 6.1), and it is as final.
 */
function sizeRefusal(size: number, sizeBytesMax: number): SmtpReply | null {
  if (sizeBytesMax === 0 || size <= sizeBytesMax) return null;
  const text = `The message has ${size} bytes, the server announced a limit of ${sizeBytesMax}`;
  return { code: 552, enhanced: "5.3.4", text };
}

const stopping = { words: "stopping", isTls: false };
const withheldFailure = { words: "the body was withheld", isTls: false };

function timedOut(ms: number) {
  return { words: `timed out after ${Math.round(ms / 100) / 10} s`, isTls: false };
}
