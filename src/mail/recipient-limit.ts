import type { Envelope, SendReport, SmtpReply } from "../email/smtp.ts";

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
  return saysSo && recipients.some(({ reply }) => reply.code >= 200 && reply.code < 300);
}

/** How many recipients the next hop takes in one transaction, once it has said so. */
export interface RecipientLimit {
  /** Recipients for one transaction; null: no limit was met. */
  readonly countMax: number | null;
  /** The part of an envelope for one transaction, and the positions left for the next. */
  split(envelope: Envelope): { envelope: Envelope; left: number[] };
  /** Learns from a conversation in which the limit was met. */
  note(report: SendReport): void;
}

/** A server's limit may be raised: after this long it is asked again. */
const rememberedMs = 3_600_000;

export function createRecipientLimit(
  now: () => number = performance.now.bind(performance),
): RecipientLimit {
  let met: { countMax: number; at: number } | null = null;

  function current(): number | null {
    if (met && now() - met.at >= rememberedMs) met = null;
    return met?.countMax ?? null;
  }

  return {
    get countMax() {
      return current();
    },
    split(envelope) {
      const countMax = current() ?? envelope.recipients.length;
      return {
        envelope: { ...envelope, recipients: envelope.recipients.slice(0, countMax) },
        left: envelope.recipients.slice(countMax).map(({ position }) => position),
      };
    },
    note(report) {
      const isMet = report.recipients.some(({ reply }) => isOneTooMany(reply, report));
      if (!isMet) return;
      const taken = report.recipients.filter(({ reply }) => reply.code >= 200 && reply.code < 300);
      met = { countMax: taken.length, at: now() };
    },
  };
}
