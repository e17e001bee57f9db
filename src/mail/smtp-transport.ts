import type { SmtpSettings } from "../config.ts";
import type { SendReport } from "../email/smtp.ts";
import { converse, type Ending, openSession, type SmtpTimeouts } from "./smtp-conversation.ts";
import { createSmtpPool, type SmtpSlot } from "./smtp-pool.ts";
import { createSmtpSession, type SmtpSession } from "./smtp-session.ts";
import type { SendRequest, Transport } from "./transport.ts";

export interface SmtpTransportDeps {
  now?: () => Date;
  /** Milliseconds for each command before the body. Default 30,000. */
  commandTimeoutMs?: number;
  /** Milliseconds for the answer of the fence. Default 30,000. */
  fenceTimeoutMs?: number;
  /** Milliseconds an idle connection is kept. Default 30,000. */
  idleMs?: number;
  log?: { debug(fields: object, words: string): void };
}

/**
 * Sends over SMTP, connections kept and used again. Each conversation is driven step by step, so
 * that the fence stands between the server's 354 and the first byte of the body.
 */
export function createSmtpTransport(
  settings: SmtpSettings,
  deps: SmtpTransportDeps = {},
): Transport {
  const name = `${settings.host}:${settings.port}`;
  const pool = createSmtpPool({ sizeMax: settings.poolSize, idleMs: deps.idleMs ?? 30_000 });
  const now = deps.now ?? (() => new Date());
  const commandMs = deps.commandTimeoutMs ?? 30_000;
  const fenceMs = deps.fenceTimeoutMs ?? 30_000;
  const timeouts: SmtpTimeouts = { commandMs, fenceMs, replyMs: settings.replyTimeoutMs };

  async function attemptFresh(slot: SmtpSlot, request: SendRequest): Promise<Ending> {
    const session = createSmtpSession(settings, commandMs);
    const failed = await openSession(session, request.signal, timeouts);
    if (failed) {
      // A turn later: whoever hears of the failure may not want the next one tried any more.
      setImmediate(() => slot.giveBack(null));
      return failed;
    }
    const ending = await converse(session, request, timeouts, now);
    settleSlot(slot, session, ending, commandMs);
    return ending;
  }

  async function attempt(slot: SmtpSlot, request: SendRequest): Promise<Ending> {
    if (!slot.idle) return attemptFresh(slot, request);
    const ending = await converse(slot.idle, request, timeouts, now);
    if (isStale(slot.idle, ending)) return attemptFresh(slot, request);
    settleSlot(slot, slot.idle, ending, commandMs);
    return ending;
  }

  async function send(request: SendRequest): Promise<SendReport> {
    const slot = await pool.take(request.signal, request.ownerId);
    const isWanted = request.isWanted?.() ?? true;
    if (slot && !isWanted) slot.giveBack(slot.idle);
    const ending = slot && isWanted ? await attempt(slot, request) : neverStarted;
    const { phase, fenced, reply, withheld, error } = ending;
    const code = reply?.code ?? null;
    deps.log?.debug({ phase, fenced, code, withheld, error }, "smtp conversation ended");
    return { ...ending, transport: name };
  }

  return { name, send, close: () => pool.close() };
}

const neverStarted: Ending = {
  phase: "connect",
  fenced: false,
  messageDate: null,
  reply: null,
  recipients: [],
  error: null,
  withheld: "aborted",
};

/**
 * A kept connection that the server had given up (its idle timeout, its limit of messages, a
 * restart): nothing was begun on it, so that a fresh one may be tried within the same attempt.
 */
function isStale({ failure, transcript }: SmtpSession, ending: Ending): boolean {
  const isUnanswered = transcript.mailReply === null || transcript.mailReply.code === 421;
  return failure !== null && ending.phase === "mail" && isUnanswered && ending.withheld === null;
}

/**
 * Gives the connection back at the reply. A transaction that was refused half-way is reset first;
 * nobody waits for that but the connection's next user.
 */
function settleSlot(slot: SmtpSlot, session: SmtpSession, ending: Ending, resetMs: number): void {
  const isOpenTransaction = ending.phase === "rcpt" || ending.phase === "data";
  if (session.failure || !isOpenTransaction) {
    slot.giveBack(session);
    return;
  }
  const timer = setTimeout(() => session.close({ words: "RSET timed out", isTls: false }), resetMs);
  void session.reset().then((isReset) => {
    clearTimeout(timer);
    if (!isReset) session.close({ words: "RSET was refused", isTls: false });
    slot.giveBack(session);
  });
}
