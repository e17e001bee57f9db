import type { DataKey, KeyRing } from "../crypto/key-ring.ts";
import type { Outcome } from "../email/email.ts";
import { readMailbox } from "../email/mailbox.ts";
import { replyPattern } from "../email/reply-pattern.ts";
import type { SmtpReply } from "../email/smtp.ts";
import type { RecipientVerdict } from "../mail/classify.ts";
import type { ClaimedEmail, FailureIndex } from "../store/attempts.ts";
import type { DecryptedEmail } from "./decrypt-email.ts";

/** Why an email did not get through, by the one recipient that tells most. */
export interface Failure {
  /** Lower case; null: not known. */
  domain: string | null;
  smtpCode: number | null;
  enhancedCode: string | null;
  /** What the server said, or what went wrong when it said nothing. */
  reply: string | null;
}

/** Of a group's name; two of a million groups share one with a chance of 1 in 10^17. */
const groupDigits = 24;

/** Keyed, so that the database can group what failed alike and learns nothing of it. */
export function failureIndex(
  keyRing: Pick<KeyRing, "blindIndexOf">,
  { domain, smtpCode, enhancedCode, reply }: Failure,
): FailureIndex {
  const alike = JSON.stringify([smtpCode, enhancedCode, reply && replyPattern(reply), domain]);
  return {
    group: keyRing.blindIndexOf("failure", alike).slice(0, groupDigits),
    domain: domain === null ? null : domainIndex(keyRing, domain),
  };
}

export function domainIndex(keyRing: Pick<KeyRing, "blindIndexOf">, domain: string): string {
  return keyRing.blindIndexOf("domain", domain.toLowerCase());
}

/** Null: the attempt refused nobody. */
export function attemptFailure(
  email: Pick<ClaimedEmail, "recipients">,
  dataKey: DataKey,
  ended: {
    outcome: Outcome;
    recipients: RecipientVerdict[];
    reply: SmtpReply | null;
    error: string | null;
  },
): Failure | null {
  const { outcome, recipients, error } = ended;
  const refused = refusedFirst(recipients);
  if (refused === null && outcome !== "uncertain") return null;
  const position = refused?.position ?? email.recipients[0]?.position;
  const place = email.recipients.find((recipient) => recipient.position === position);
  const said = refused?.reply ?? null;
  return {
    domain: place ? readDomain(dataKey, place) : null,
    smtpCode: said?.code ?? null,
    enhancedCode: said?.enhanced ?? null,
    reply: said?.text ?? error,
  };
}

/**
 * The failure that put a stored email into its group: the recipient that fits the group's name,
 * since an earlier attempt may have refused others with other words.
 */
export function storedFailure(
  keyRing: Pick<KeyRing, "blindIndexOf">,
  { recipients, attempts }: DecryptedEmail,
  group: string,
): Failure {
  const error = attempts.at(-1)?.reply ?? null;
  const failures = recipients.map(({ address, smtpCode, enhancedCode, reply }) => ({
    domain: address === null ? null : domainOf(address),
    smtpCode,
    enhancedCode,
    reply: reply ?? error,
  }));
  const first = refusedFirst(recipients) ?? recipients.find(({ status }) => status !== "sent");
  const fits = failures.find((failure) => failureIndex(keyRing, failure).group === group);
  const told = fits ?? (first && failures[recipients.indexOf(first)]);
  // A group without a fingerprint is of many domains.
  if (told) return fits ?? { ...told, domain: null };
  return { domain: null, smtpCode: null, enhancedCode: null, reply: error };
}

/** One that bounced, else one that was deferred; null: neither. */
function refusedFirst<Refused extends { status: string }>(recipients: Refused[]): Refused | null {
  const of = (status: string) => recipients.find((recipient) => recipient.status === status);
  return of("bounced") ?? of("deferred") ?? null;
}

function readDomain(
  dataKey: DataKey,
  { position, address }: ClaimedEmail["recipients"][number],
): string | null {
  try {
    return domainOf(readMailbox(dataKey.decryptText(address, `address:${position}`)).address);
  } catch {
    // That it does not open may be what the attempt failed of; it is settled all the same.
    return null;
  }
}

function domainOf(address: string): string {
  return address.slice(address.lastIndexOf("@") + 1).toLowerCase();
}
