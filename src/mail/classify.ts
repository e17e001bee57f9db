import type { Outcome } from "../email/email.ts";
import type { Envelope, SendReport, SmtpReply } from "../email/smtp.ts";
import { isPermanent } from "./permanent.ts";
import { isOneTooMany } from "./recipient-limit.ts";
import { concernOf } from "./reply-concern.ts";
import { type TransportFault, transportFaultOf } from "./transport-fault.ts";

export interface RecipientVerdict {
  /** The recipient's place in its email, from 0. */
  position: number;
  status: "sent" | "deferred" | "bounced";
  /** The reply that decided it; null: none came. */
  reply: SmtpReply | null;
}

/** What the worker has to write about an attempt. */
export type Verdict =
  /** The attempt is spent, and what became of every recipient is known. */
  | {
      kind: "settle";
      outcome: Exclude<Outcome, "uncertain">;
      /**
       * False: somebody was done with, and others were only too many for one transaction.
       * They are due at once, and this attempt does not count against max_retries.
       */
      isCounted: boolean;
      recipients: RecipientVerdict[];
      reply: SmtpReply | null;
      error: string | null;
    }
  /** The body was begun and nobody knows what became of it. */
  | {
      kind: "uncertain";
      /** Only those refused at RCPT; of the others nothing is known. */
      recipients: RecipientVerdict[];
      reply: null;
      error: string;
    }
  /** Surely not sent, and not the email's fault: no attempt is spent. */
  | {
      kind: "release";
      reason:
        | "transport_refused"
        | "transport_unreachable"
        | "sender_refused"
        | "destination_backed_off"
        | "fence_failed"
        | "paused"
        | "aborted";
      /** Milliseconds until the next look, at least. */
      delayMs: number;
      /** The transport itself is at fault: nothing else gets through either. */
      fault: TransportFault | null;
      reply: SmtpReply | null;
      error: string | null;
    }
  /** The fence said no: this worker has nothing left to write. */
  | { kind: "drop"; reason: "cancelled" | "stale" };

/** The database was slow or gone; by then it may be back. */
const fenceFailedDelayMs = 1_000;
/** An account that is suspended, or a sender nobody may use, is mended by a person. */
const senderRefusedDelayMs = 30_000;

/**
 * Judges what a conversation said (RFC 5321 section 4.2.1, RFC 3463). Pure: the same arguments
 * always give the same verdict. `fault`: what the conversation showed to be wrong with the
 * transport; by default what it alone can show.
 */
export function classify(
  report: SendReport,
  envelope: Envelope,
  fault: TransportFault | null = transportFaultOf(report),
): Verdict {
  const { withheld, reply, error } = report;
  if (withheld === "cancelled" || withheld === "stale") return { kind: "drop", reason: withheld };
  if (withheld !== null) {
    const delayMs = withheld === "fence_failed" ? fenceFailedDelayMs : 0;
    return { kind: "release", reason: withheld, delayMs, fault: null, reply, error };
  }
  if (fault) {
    const reason = fault.reason === "unreachable" ? "transport_unreachable" : "transport_refused";
    return { kind: "release", reason, delayMs: fault.pauseMs ?? 0, fault, reply, error };
  }
  if (isOfSender(report)) return senderRefused(report);
  if (isUncertain(report)) return uncertain(report);
  return settled(report, envelope);
}

/** MAIL FROM is refused for good: it names the sender, and nothing of the message but its size. */
function isOfSender(report: SendReport): boolean {
  const concern = concernOf(report);
  return concern === "sender" || concern === "account";
}

function senderRefused({ reply, error }: SendReport): Verdict {
  const delayMs = senderRefusedDelayMs;
  return { kind: "release", reason: "sender_refused", delayMs, fault: null, reply, error };
}

function isUncertain({ phase, fenced, reply }: SendReport): boolean {
  if (!fenced || (phase !== "body" && phase !== "reply")) return false;
  if (!reply || isMeaningless(reply)) return true;
  // A 2xx that came before the dot cannot mean this message.
  return isAccepting(reply) && phase === "body";
}

function uncertain(report: SendReport): Verdict {
  const recipients = report.recipients
    .filter(({ reply }) => !isAccepting(reply))
    .map((rcpt) => refusedAtRcpt(rcpt, report));
  const error = report.error ?? "the server's answer made no sense";
  return { kind: "uncertain", recipients, reply: null, error };
}

function settled(report: SendReport, envelope: Envelope): Verdict {
  const { reply, error } = report;
  const recipients = envelope.recipients.map(({ position }) => judge(position, report));
  const deferred = recipients.filter(({ status }) => status === "deferred").length;
  // At no cost only when somebody was done with, and somebody is left.
  const isCounted = !isFull(report) || deferred === 0 || deferred === recipients.length;
  return { kind: "settle", outcome: outcomeOf(recipients), isCounted, recipients, reply, error };
}

/** Whether the email has more recipients than the next hop takes in one transaction. */
function isFull(report: SendReport): boolean {
  const isCut = (report.untried ?? []).length > 0;
  return isCut || report.recipients.some(({ reply }) => isOneTooMany(reply, report));
}

function judge(position: number, report: SendReport): RecipientVerdict {
  const rcpt = report.recipients.find((recipient) => recipient.position === position);
  if (rcpt && !isAccepting(rcpt.reply)) return refusedAtRcpt(rcpt, report);
  const { reply, phase, untried = [] } = report;
  // A refusal of MAIL FROM is about all of them, named or not.
  const isUntried = untried.includes(position) && phase !== "mail";
  if (!reply || isUntried) return { position, status: "deferred", reply: null };
  if (isAccepting(reply)) {
    // The body was accepted for those accepted at RCPT. Somebody must have been, and whatever a
    // report lacks, a message that was taken is never sent again for want of a line.
    const isNobodyNamed = !report.recipients.some((recipient) => isAccepting(recipient.reply));
    const isSent = phase === "reply" && (rcpt !== undefined || isNobodyNamed);
    return { position, status: isSent ? "sent" : "deferred", reply };
  }
  // A refusal of one RCPT says nothing about the next recipient.
  if (phase === "rcpt") return { position, status: "deferred", reply };
  return refused({ position, reply });
}

function refusedAtRcpt(
  rcpt: { position: number; reply: SmtpReply },
  report: SendReport,
): RecipientVerdict {
  return isOneTooMany(rcpt.reply, report) ? { ...rcpt, status: "deferred" } : refused(rcpt);
}

function refused({ position, reply }: { position: number; reply: SmtpReply }): RecipientVerdict {
  return { position, status: isPermanent(reply) ? "bounced" : "deferred", reply };
}

function outcomeOf(recipients: RecipientVerdict[]): Exclude<Outcome, "uncertain"> {
  const has = (status: RecipientVerdict["status"]): boolean =>
    recipients.some((recipient) => recipient.status === status);
  if (has("sent")) return has("deferred") || has("bounced") ? "partial" : "sent";
  return has("deferred") ? "deferred" : "bounced";
}

function isAccepting({ code }: SmtpReply): boolean {
  return code >= 200 && code < 300;
}

function isMeaningless({ code }: SmtpReply): boolean {
  return code < 200 || (code >= 300 && code < 400) || code > 599;
}
