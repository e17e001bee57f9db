import type { SendReport, SmtpReply } from "../email/smtp.ts";
import { isPermanent } from "./permanent.ts";

/**
 * What a conversation's replies speak of, once MAIL FROM was answered. `works`: the message was
 * taken. `pipe`: probably the server, the account or the line, and so everybody's mail.
 * `account`: the sender or the account behind it (5.7.x at MAIL), perhaps everybody's too.
 * `sender`: this sender alone. `greylisting`: RCPT deferred by policy (4.7.x), which passes when
 * the same email comes again. `email`: this message or its recipients.
 */
export type Concern = "works" | "pipe" | "account" | "sender" | "greylisting" | "email";

/** Pure. Null: the conversation ended without a reply, or before anything could be refused. */
export function concernOf(report: SendReport): Concern | null {
  const { phase, reply, withheld } = report;
  if (!reply || withheld) return null;
  switch (phase) {
    case "mail":
      return concernAtMail(reply);
    case "rcpt":
      return concernAtRcpt(reply, report.recipients);
    case "data":
    case "body":
      return isAboutServer(reply) ? "pipe" : "email";
    case "reply":
      if (isPositive(reply)) return "works";
      return isAboutServer(reply) ? "pipe" : "email";
    // What ends here is the transport's, or ours.
    case "connect":
    case "greeting":
    case "ehlo":
    case "starttls":
    case "auth":
    case "fence":
      return null;
  }
}

/** MAIL FROM names no recipient, and of the message its size alone (RFC 1870). */
function concernAtMail(reply: SmtpReply): Concern {
  if (isAboutSize(reply)) return "email";
  if (!isPermanent(reply)) return "pipe";
  return reply.enhanced?.startsWith("5.7.") ? "account" : "sender";
}

/** Only where everybody was refused: one who was taken shows that the server takes mail. */
function concernAtRcpt(reply: SmtpReply, recipients: SendReport["recipients"]): Concern {
  if (reply.code === 421) return "pipe";
  const replies = recipients.map((recipient) => recipient.reply);
  if (replies.length === 0 || !replies.every((said) => isAboutServer(said) || isPolicy(said))) {
    return "email";
  }
  return replies.some((said) => !isAboutServer(said)) ? "greylisting" : "pipe";
}

/** 421 closes the connection, 454 is a failure of the server, X.3.x the state of its system. */
function isAboutServer(reply: SmtpReply): boolean {
  if (isPermanent(reply) || isAboutSize(reply)) return false;
  const { code, enhanced } = reply;
  return code === 421 || code === 454 || /^[45]\.3\./.test(enhanced ?? "");
}

/** Policy for now (RFC 3463 X.7.x): greylisting above all, and limits on a client. */
function isPolicy(reply: SmtpReply): boolean {
  return !isPermanent(reply) && /^[45]\.7\./.test(reply.enhanced ?? "");
}

/** Greylisting (4.7.1, or in words) and mailboxes that are busy or full (4.2.x): it passes. */
export function isGreylisting(reply: SmtpReply): boolean {
  const isOfKind = /^4\.(2\.\d+|7\.1)$/.test(reply.enhanced ?? "");
  return !isPermanent(reply) && (isOfKind || /gr[ae]y-?list/i.test(reply.text));
}

/** X.3.4 and X.2.3: too large a message, for the system and for one mailbox; 552 in RFC 1870. */
function isAboutSize({ code, enhanced }: SmtpReply): boolean {
  return /^[45]\.(3\.4|2\.3)$/.test(enhanced ?? "") || (code === 552 && enhanced === null);
}

function isPositive({ code }: SmtpReply): boolean {
  return code >= 200 && code < 300;
}
