import type { Envelope, SendReport, SmtpReply } from "../email/smtp.ts";
import type { AnnouncedLimits } from "./smtp-transcript.ts";

/**
 * How many recipients the next hop takes in one transaction: what it announces (RFC 9422 RCPTMAX),
 * or what it has shown by refusing one more. RFC 5321 section 4.5.3.1.8 asks for at least 100;
 * Exim, Postfix and Sendmail are often set to fewer.
 */
export interface RecipientCeiling {
  /** As many of the envelope as one transaction may have, and the positions of the others. */
  cut(envelope: Envelope, announced: AnnouncedLimits): { envelope: Envelope; untried: number[] };
  /** Looks for a refusal of one recipient too many. */
  learn(recipients: SendReport["recipients"]): void;
}

/** A limit of a sender's or a domain's own should not hold for everybody for ever. */
const rememberMs = 3_600_000;

export function createRecipientCeiling(now = () => performance.now()): RecipientCeiling {
  let met = Number.POSITIVE_INFINITY;
  let metUntil = 0;

  return {
    cut(envelope, { rcptMax }) {
      const shown = now() < metUntil ? met : Number.POSITIVE_INFINITY;
      const limit = Math.min(rcptMax ?? shown, shown);
      const { recipients } = envelope;
      if (recipients.length <= limit) return { envelope, untried: [] };
      const untried = recipients.slice(limit).map(({ position }) => position);
      return { envelope: { ...envelope, recipients: recipients.slice(0, limit) }, untried };
    },
    learn(recipients) {
      const accepted = recipients.filter(({ reply }) => reply.code < 300).length;
      if (accepted === 0 || !recipients.some(({ reply }) => isTooMany(reply))) return;
      met = now() < metUntil ? Math.min(met, accepted) : accepted;
      metUntil = now() + rememberMs;
    },
  };
}

/** X.5.3 (RFC 3463); 552 of RFC 821 (RFC 5321 section 4.5.3.1.10); Exim's bare `452 too many …`. */
function isTooMany({ code, enhanced, text }: SmtpReply): boolean {
  if (code < 400) return false;
  if (enhanced !== null) return /^[45]\.5\.3$/.test(enhanced);
  return code === 552 || (code === 452 && /too many/i.test(text));
}
