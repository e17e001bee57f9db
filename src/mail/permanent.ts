import type { SmtpReply } from "../email/smtp.ts";

/**
 * Permanent for this message and recipient: a 5xx, unless its enhanced code (RFC 3463) is 4.x.x. A
 * 4xx beside a 5.x.x is temporary: a server that means to refuse for good says so with its first
 * digit too. 503 (bad sequence) speaks of the conversation, whatever stands beside it.
 */
export function isPermanent({ code, enhanced }: SmtpReply): boolean {
  return code >= 500 && code !== 503 && !enhanced?.startsWith("4.");
}
