import type { SmtpSettings } from "../config.ts";
import type { SendReport } from "../email/smtp.ts";
import type { Logger } from "../log.ts";
import { createConnectionCeiling } from "./connection-ceiling.ts";
import { createRecipientLimit } from "./recipient-limit.ts";
import { converse, type Ending, openSession, type SmtpTimeouts } from "./smtp-conversation.ts";
import { createLoginChoice } from "./smtp-login.ts";
import { createSmtpPool, type SmtpPool } from "./smtp-pool.ts";
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
  /** Milliseconds until one more connection is tried after one was refused. Default 10,000. */
  raiseAfterMs?: number;
  log?: Pick<Logger, "debug" | "info">;
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
  const now = deps.now ?? (() => new Date());
  const commandMs = deps.commandTimeoutMs ?? 30_000;
  const fenceMs = deps.fenceTimeoutMs ?? 30_000;
  const timeouts: SmtpTimeouts = { commandMs, fenceMs, replyMs: settings.replyTimeoutMs };
  const { poolSize: sizeMax } = settings;
  const choice = createLoginChoice(settings);
  const recipientLimit = createRecipientLimit();
  const { raiseAfterMs = 10_000, log } = deps;
  const pool = createSmtpPool({
    ceiling: createConnectionCeiling({ sizeMax, raiseAfterMs, log }),
    idleMs: deps.idleMs ?? 30_000,
    quietMs: commandMs,
    open,
  });

  async function open(signal: AbortSignal) {
    const session = createSmtpSession(settings, commandMs, choice);
    const failed = await openSession(session, signal, timeouts);
    return failed ? { failed } : { session };
  }

  async function attempt(request: SendRequest, isAgain = false): Promise<Ending> {
    const { signal, ownerId, isWanted = () => true } = request;
    const taken = await pool.take({ signal, ownerId, isWanted, isAgain });
    if (!taken) return neverStarted;
    if ("failed" in taken) return taken.failed;
    const { session, isFresh } = taken;
    const { limits } = session.transcript.announced;
    const { envelope, untried } = recipientLimit.cut(request.envelope, limits);
    const ending = await converse(session, { ...request, envelope }, timeouts, now).catch(
      (error: unknown) => {
        // A fault of ours: nobody knows where the conversation stands, and its place is free again.
        session.close({ words: "the conversation failed", isTls: false });
        pool.giveBack(session);
        throw error;
      },
    );
    if (!isFresh && isStale(session, ending)) return attempt(request, true);
    recipientLimit.note(ending);
    settleSession(pool, session, ending, commandMs);
    const isLoginMissing = offersLogin(session) && settings.user === null;
    return {
      ...ending,
      ...(isLoginMissing ? { isLoginMissing } : {}),
      ...(untried.length > 0 ? { untried } : {}),
    };
  }

  async function send(request: SendRequest): Promise<SendReport> {
    const ending = await attempt(request);
    const { phase, reply, withheld, error } = ending;
    const said = reply ? { smtp_code: reply.code } : {};
    const reason = withheld ?? error;
    deps.log?.debug("smtp conversation ended", { phase, ...said, ...(reason ? { reason } : {}) });
    return { ...ending, transport: name };
  }

  return { name, send, close: () => pool.close() };
}

function offersLogin({ transcript }: SmtpSession): boolean {
  return transcript.announced.keywords.has("AUTH");
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
function settleSession(pool: SmtpPool, session: SmtpSession, { phase }: Ending, resetMs: number) {
  const isOpenTransaction = phase === "rcpt" || phase === "data";
  if (session.failure || !isOpenTransaction) return pool.giveBack(session);
  const timer = setTimeout(() => session.close({ words: "RSET timed out", isTls: false }), resetMs);
  void session.reset().then((isReset) => {
    clearTimeout(timer);
    if (!isReset) session.close({ words: "RSET was refused", isTls: false });
    pool.giveBack(session);
  });
}
