import type { SendReport, SmtpPhase } from "../email/smtp.ts";

/** Nobody's mail gets through the transport now, whatever it is and whoever it is for. */
export interface TransportFault {
  /**
   * `auth`: the login is refused, or one is wanted. `tls`: no TLS, or a certificate nobody
   * trusts. `refused`: the server answered, and will not talk to us now. `unreachable`: it did
   * not answer.
   */
  reason: "auth" | "tls" | "refused" | "unreachable";
  /** The reply's code; null: none came. */
  smtpCode: number | null;
  /** Milliseconds until a person may have mended it; null: the breaker's back-off decides. */
  pauseMs: number | null;
}

/** For the log and for /health. */
export const faultWords: Record<TransportFault["reason"], string> = {
  auth: "the next hop refuses our login: check SMTP_USER and SMTP_PASS",
  tls: "TLS with the next hop fails: check its certificate, SMTP_TLS and SMTP_TLS_CA",
  refused: "the next hop answers, and will not talk to us now",
  unreachable: "the next hop does not answer",
};

/** A wrong password or an untrusted certificate is mended by a person, not by the next second. */
const permanentPauseMs = 30_000;

const beforeMail: readonly SmtpPhase[] = ["connect", "greeting", "ehlo", "starttls", "auth"];

/**
 * What failed before MAIL FROM was answered says nothing about the email that happened to be
 * tried. Null: MAIL FROM was answered, so that the transport works.
 */
export function transportFaultOf(report: SendReport): TransportFault | null {
  const { phase, reply } = report;
  const smtpCode = reply?.code ?? null;
  if (isLoginWanted(report)) return { reason: "auth", smtpCode, pauseMs: permanentPauseMs };
  if (!beforeMail.includes(phase)) {
    const isUnanswered = phase === "mail" && reply === null;
    return isUnanswered ? { reason: "unreachable", smtpCode, pauseMs: null } : null;
  }
  if (!reply) {
    // A handshake without a reply failed over a certificate.
    return phase === "starttls"
      ? { reason: "tls", smtpCode, pauseMs: permanentPauseMs }
      : { reason: "unreachable", smtpCode, pauseMs: null };
  }
  const isTemporary = reply.code < 500 || reply.enhanced?.startsWith("4.");
  const pauseMs = isTemporary ? null : permanentPauseMs;
  if (phase === "auth" && !isTemporary) return { reason: "auth", smtpCode, pauseMs };
  return { reason: phase === "starttls" ? "tls" : "refused", smtpCode, pauseMs };
}

/**
 * 530 may answer any command (RFC 4954 section 6); a server that judges late says it at RCPT.
 * 5.7.57 is how Exchange says the same, whatever code stands before it.
 */
function isLoginWanted({ phase, reply }: SendReport): boolean {
  if (phase !== "mail" && phase !== "rcpt" && phase !== "data") return false;
  return reply !== null && (reply.code === 530 || reply.enhanced === "5.7.57");
}
