import type { SendReport, SmtpPhase, SmtpReply } from "../email/smtp.ts";
import { quotedReply } from "./quoted-reply.ts";
import { concernOf } from "./reply-concern.ts";

/** Nobody's mail gets through the transport now, whatever it is and whoever it is for. */
export interface TransportFault {
  /**
   * `auth`: the login is refused. `auth_mechanism`: the server takes none of the mechanisms that we
   * may log in by. `login_wanted`: a login is wanted and none is configured. `tls`: no TLS, or a
   * certificate nobody trusts. `tls_wanted`: the server wants TLS and we speak none.
   * `refused`: the server answered, and will not talk to us now. `rejecting`: it talks to us, and
   * takes nobody's mail. `unreachable`: it did not answer.
   */
  reason:
    | "auth"
    | "auth_mechanism"
    | "login_wanted"
    | "tls"
    | "tls_wanted"
    | "refused"
    | "rejecting"
    | "unreachable";
  /** The reply's code; null: none came. */
  smtpCode: number | null;
  /** The reply as it may be shown, such as `452 4.3.1 at MAIL: Out of storage`; null: none came. */
  said: string | null;
  /** Milliseconds until a person may have mended it; null: the breaker's back-off decides. */
  pauseMs: number | null;
}

/** For the log and for /health. */
export const faultWords: Record<TransportFault["reason"], string> = {
  auth: "the SMTP server refuses our login: check SMTP_USER and SMTP_PASS",
  auth_mechanism:
    "the SMTP server accepts none of the mechanisms we may log in by: compare what it offers for AUTH with SMTP_AUTH (plain, login, or unset for both)",
  login_wanted: "the SMTP server wants a login and none is configured: set SMTP_USER and SMTP_PASS",
  tls: "TLS with the SMTP server fails: check its certificate, SMTP_TLS and SMTP_TLS_CA",
  tls_wanted: "the SMTP server wants TLS before anything else: set SMTP_TLS=required",
  refused: "the SMTP server answers, and refuses our connection now",
  rejecting: "the SMTP server answers, and accepts no mail now",
  unreachable: "the SMTP server does not answer",
};

/** A wrong password or an untrusted certificate is mended by a person, not by the next second. */
const permanentPauseMs = 30_000;

const beforeMail: readonly SmtpPhase[] = ["connect", "greeting", "ehlo", "starttls", "auth"];

/**
 * What failed before MAIL FROM was answered says nothing about the email that happened to be
 * tried. Null: MAIL FROM was answered, so that one conversation alone proves nothing.
 * `hasWorked`: whether any message was ever taken by this transport.
 */
export function transportFaultOf(
  report: SendReport,
  { hasWorked }: { hasWorked: boolean } = { hasWorked: true },
): TransportFault | null {
  const { phase, reply } = report;
  const fault = faultMaker(report);
  const wanted = wantedBy(report, hasWorked);
  if (wanted) return fault(wanted, permanentPauseMs);
  if (!beforeMail.includes(phase)) {
    return phase === "mail" && reply === null ? fault("unreachable", null) : null;
  }
  // A handshake without a reply failed over a certificate.
  if (!reply) return phase === "starttls" ? fault("tls", permanentPauseMs) : fault("unreachable");
  const isTemporary = reply.code < 500 || reply.enhanced?.startsWith("4.");
  const pauseMs = isTemporary ? null : permanentPauseMs;
  if (phase === "auth" && !isTemporary) {
    return fault(refusesMechanism(reply) ? "auth_mechanism" : "auth", pauseMs);
  }
  return fault(phase === "starttls" ? "tls" : "refused", pauseMs);
}

/**
 * At AUTH: the mechanism is refused, not the user or the password (RFC 4954: 504 unknown, 534 too
 * weak). Gmail says 534 where it wants an app password.
 */
export function refusesMechanism({ code, text }: SmtpReply): boolean {
  return code === 504 || (code === 534 && /mechanism/i.test(text));
}

/** The fault that several emails met after MAIL FROM; one such reply alone is an email's. */
export function rejectingFault(report: SendReport): TransportFault {
  // A suspended account is mended by a person.
  const pauseMs = concernOf(report) === "account" ? permanentPauseMs : null;
  return faultMaker(report)("rejecting", pauseMs);
}

function faultMaker({ phase, reply }: SendReport) {
  const smtpCode = reply?.code ?? null;
  const said = reply && quotedReply(reply, phase);
  return (reason: TransportFault["reason"], pauseMs: number | null = null): TransportFault => ({
    reason,
    smtpCode,
    said,
    pauseMs,
  });
}

/**
 * 530 may answer any command (RFC 3207 section 4, RFC 4954 section 6); a server that judges late
 * says it at RCPT. 5.7.57 is how Exchange says the same, whatever code stands before it.
 */
function wantedBy(report: SendReport, hasWorked: boolean): TransportFault["reason"] | null {
  const { phase, reply, isLoginMissing = false } = report;
  if (!reply || !["mail", "rcpt", "data"].includes(phase)) return null;
  if (reply.code === 530 && /tls/i.test(reply.text)) return "tls_wanted";
  if (reply.code === 530 || reply.enhanced === "5.7.57") {
    return isLoginMissing ? "login_wanted" : "auth";
  }
  return isLoginMissing && !hasWorked && deniesAccess(reply) ? "login_wanted" : null;
}

/**
 * Submission servers refuse everybody who has not logged in with words of a refused recipient:
 * Postfix's `554 5.7.1 <…>: Recipient address rejected: Access denied`, or `Relay access denied`.
 */
export function deniesAccess({ code, enhanced, text }: SmtpReply): boolean {
  const isRefusal = [550, 551, 553, 554].includes(code);
  const isPolicy = enhanced === null || enhanced.startsWith("5.7.");
  return (
    isRefusal &&
    isPolicy &&
    /access denied|relay|authentication (is )?required|log ?in\b/i.test(text)
  );
}
