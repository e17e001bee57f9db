import { decryptEmail, isUnreadable } from "../../content/decrypt-email.ts";
import { openDetails, openDetailsWithoutBodies } from "../../content/stored-details.ts";
import type { EmailDetails } from "../../email/email-details.ts";
import { showMailbox } from "../../email/mailbox.ts";
import { messageIdFor } from "../../mail/compose.ts";
import type { WholeEmail } from "../../store/stored-email.ts";
import type { EmailOpener } from "../emails/email-answer.ts";

/** An email that was due this much later than it came was scheduled. */
const scheduledMs = 1_000;

/** As `resend.emails.list()` shows it; what does not open, or was destroyed, is empty. */
export function resendListed(email: WholeEmail, opener: EmailOpener, now: Date) {
  return listed(email, opener, now, () => openDetailsWithoutBodies(email, opener.keyRing));
}

/** As `resend.emails.get()` shows it. */
export function resendEmail(email: WholeEmail, opener: EmailOpener, now: Date) {
  const opened = tryOpen(email, opener, () => openDetails(email, opener.keyRing));
  return {
    object: "email",
    ...listed(email, opener, now, () => opened),
    html: opened?.htmlBody ?? null,
    text: opened?.body ?? null,
    tags: Object.entries(email.metadata).flatMap(([name, value]) =>
      typeof value === "string" ? [{ name, value }] : [],
    ),
  };
}

function listed(
  email: WholeEmail,
  opener: EmailOpener,
  now: Date,
  open: () => EmailDetails | null,
) {
  const { subject, recipients, fault } = decryptEmail(email, opener.keyRing);
  if (fault) opener.noteUnreadable(email.id, fault);
  const details = tryOpen(email, opener, open);
  const addressesOf = (kind: "to" | "cc" | "bcc") =>
    recipients.flatMap((one) => (one.kind === kind && one.address !== null ? [one.address] : []));
  const { createdAt, scheduledAt } = email;
  const isScheduled = scheduledAt.getTime() - createdAt.getTime() > scheduledMs;
  return {
    id: email.id,
    message_id: details && (details.messageId ?? messageIdFor(email.id, details.from)),
    from: details ? showMailbox(details.from) : "",
    to: addressesOf("to"),
    cc: addressesOf("cc"),
    bcc: addressesOf("bcc"),
    reply_to: details?.replyTo.map(showMailbox) ?? [],
    subject: subject ?? "",
    created_at: createdAt,
    scheduled_at: isScheduled ? scheduledAt : null,
    last_event: lastEvent(email, now),
  };
}

function tryOpen<T>(email: WholeEmail, opener: EmailOpener, open: () => T | null): T | null {
  try {
    return open();
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    opener.noteUnreadable(email.id, error);
    return null;
  }
}

/** The nearest of Resend's words; whether it was delivered nobody has said. */
function lastEvent({ status, attemptsSpent, dueSince, recipients }: WholeEmail, now: Date): string {
  switch (status) {
    case "pending":
      if (attemptsSpent > 0) return "delivery_delayed";
      return dueSince !== null && dueSince > now ? "scheduled" : "queued";
    case "sending":
      return "queued";
    case "held":
      return "scheduled";
    case "sent":
    case "partially_sent":
      return "sent";
    case "failed":
      return recipients.some((one) => one.status === "bounced") ? "bounced" : "failed";
    case "cancelled":
      return "canceled";
    case "suppressed":
      return "suppressed";
    case "uncertain":
    case "expired":
      return "failed";
  }
}
