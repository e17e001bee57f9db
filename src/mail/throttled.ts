import type { Envelope, SendReport, SmtpReply } from "../email/smtp.ts";

/**
 * Beside 421: the host takes no mail just now (X.3.2), is congested (X.4.5), or has had too much
 * from us (X.7.28). Not 4.7.1 and 4.2.x: greylisting and full mailboxes speak of one recipient.
 */
const throttlingCodes = new Set(["4.3.2", "4.4.5", "4.7.28"]);

/** Positions of the recipients whose destination said, in whatever phase, to come later. */
export function throttledPositions(report: SendReport, envelope: Envelope): number[] {
  const own = new Map(report.recipients.map(({ position, reply }) => [position, reply]));
  // A 421 at one RCPT is about that recipient; the others were not even named.
  const isAboutAll = report.phase !== "rcpt" && isThrottling(report.reply);
  return envelope.recipients
    .map(({ position }) => position)
    .filter((position) => {
      const reply = own.get(position) ?? null;
      const isRefused = reply !== null && reply.code >= 400;
      return isThrottling(reply) || (isAboutAll && !isRefused);
    });
}

function isThrottling(reply: SmtpReply | null): boolean {
  return reply !== null && (reply.code === 421 || throttlingCodes.has(reply.enhanced ?? ""));
}
