import type { Envelope, SendReport, SmtpReply } from "../email/smtp.ts";
import type { AnnouncedLimits } from "./smtp-transcript.ts";

/**
 * Too many recipients in one transaction says nothing about the one it was said of: "clients SHOULD
 * treat a 552 code in this case as a temporary failure", and try the rest at once in another (RFC
 * 5321 section 4.5.3.1.10). Said as X.5.3, as 452 or 552 without an enhanced code, or in words; only
 * once somebody was accepted.
 */
export function isOneTooMany(
  { code, enhanced, text }: SmtpReply,
  { recipients }: Pick<SendReport, "recipients">,
): boolean {
  const isBare = enhanced === null && (code === 452 || code === 552);
  const isInWords = code >= 450 && code < 453 && /too many recipients/i.test(text);
  const saysSo = code >= 400 && (/^[45]\.5\.3$/.test(enhanced ?? "") || isBare || isInWords);
  return saysSo && recipients.some(({ reply }) => isTaken(reply));
}

/**
 * How many recipients the next hop takes in one transaction: as many as it announces (RFC 9422
 * RCPTMAX), and no more than it took when it refused one too many. RFC 5321 section 4.5.3.1.8 asks
 * for at least 100; Exim, Postfix and Sendmail are often set to fewer.
 */
export interface RecipientLimit {
  /**
   * The part of an envelope for one transaction over a connection, and the positions of the others.
   */
  cut(
    envelope: Envelope,
    announced: Pick<AnnouncedLimits, "rcptMax">,
  ): { envelope: Envelope; untried: number[] };
  /** Learns from a conversation in which the limit was met. */
  note(report: Pick<SendReport, "recipients">): void;
}

/** A server's limit may be raised: an hour after it was last met it is asked again. */
const rememberedMs = 3_600_000;

export function createRecipientLimit(
  now: () => number = performance.now.bind(performance),
): RecipientLimit {
  let met = Number.POSITIVE_INFINITY;
  let metAt = 0;

  function current(): number {
    if (now() - metAt >= rememberedMs) met = Number.POSITIVE_INFINITY;
    return met;
  }

  return {
    cut({ from, recipients }, { rcptMax }) {
      const countMax = Math.min(current(), rcptMax ?? Number.POSITIVE_INFINITY);
      return {
        envelope: { from, recipients: recipients.slice(0, countMax) },
        untried: recipients.slice(countMax).map(({ position }) => position),
      };
    },
    note(report) {
      const isMet = report.recipients.some(({ reply }) => isOneTooMany(reply, report));
      if (!isMet) return;
      met = Math.min(current(), report.recipients.filter(({ reply }) => isTaken(reply)).length);
      metAt = now();
    },
  };
}

function isTaken({ code }: SmtpReply): boolean {
  return code >= 200 && code < 300;
}
