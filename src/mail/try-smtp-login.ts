import type { SmtpSettings } from "../config.ts";
import type { SmtpPhase, SmtpReply } from "../email/smtp.ts";
import { openSession } from "./smtp-conversation.ts";
import { createSmtpSession } from "./smtp-session.ts";

export interface SmtpTrial {
  isOpen: boolean;
  /** Whether a login was asked for and granted. */
  isLoggedIn: boolean;
  /** Where it ended when it is not open; `adviceFor` takes all three. */
  phase: SmtpPhase;
  reply: SmtpReply | null;
  error: string | null;
}

const commandMs = 4_000;

/** Connects, agrees on TLS and logs in as a send would, and leaves without sending anything. */
export async function trySmtpLogin(settings: SmtpSettings): Promise<SmtpTrial> {
  const session = createSmtpSession(settings, commandMs);
  const timeouts = { commandMs, fenceMs: commandMs, replyMs: commandMs };
  const failed = await openSession(session, new AbortController().signal, timeouts);
  const { phase } = session.transcript;
  if (failed) return { ...failed, isOpen: false, isLoggedIn: false };
  await session.quit();
  return { isOpen: true, isLoggedIn: phase === "auth", phase, reply: null, error: null };
}
