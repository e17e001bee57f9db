import type { Envelope, SendReport } from "../email/smtp.ts";
import type { Logger } from "../log.ts";
import type { Verdict } from "../mail/classify.ts";
import type { ClaimedEmail } from "../store/attempts.ts";
import { domainOf } from "./domain-of.ts";

/**
 * One line for each conversation in which somebody was not sent the message: the codes, the phase
 * and the domain, and never an address. Of several, the first recipient who was refused is told.
 */
export function logRefusal(
  log: Logger,
  email: Pick<ClaimedEmail, "id" | "attempt">,
  { envelope, report }: { envelope: Envelope; report: SendReport },
  verdict: Verdict,
): void {
  if (verdict.kind === "drop") return;
  if (verdict.kind === "release" && verdict.reason === "aborted") return;
  if (verdict.kind === "settle" && verdict.outcome === "sent") return;
  const refused =
    verdict.kind === "release"
      ? undefined
      : verdict.recipients.find(({ status }) => status !== "sent");
  const reply = refused?.reply ?? report.reply;
  const isOfRcpt = report.recipients.some(
    (rcpt) => rcpt.position === refused?.position && rcpt.reply === reply,
  );
  const position = refused?.position ?? envelope.recipients[0]?.position;
  const recipient = envelope.recipients.find((one) => one.position === position);
  log.info("attempt not sent", {
    email_id: email.id,
    attempt: email.attempt,
    outcome: verdict.kind === "settle" ? verdict.outcome : verdict.kind,
    phase: isOfRcpt ? "rcpt" : report.phase,
    ...(reply && { smtp_code: reply.code }),
    ...(reply?.enhanced && { enhanced_code: reply.enhanced }),
    ...(recipient && { domain: domainOf(recipient) }),
    ...(report.error !== null && { reason: report.error }),
  });
}
