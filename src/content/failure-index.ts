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

/** Digits of a group's name; two of a million groups share one with a chance of 1 in 10^17. */
const groupDigits = 24;

/** Keyed, so that the database can group what failed alike and learns nothing of it. */
export function failureIndex(
  keyRing: Pick<KeyRing, "blindIndexOf">,
  failure: Failure,
): FailureIndex {
  const { domain } = failure;
  return {
    group: keyRing.blindIndexOf("failure", alikeText(failure)).slice(0, groupDigits),
    domain: domain === null ? null : domainIndex(keyRing, domain),
  };
}

/** What failures of one group have in common. */
function alikeText({ domain, smtpCode, enhancedCode, reply }: Failure): string {
  return JSON.stringify([smtpCode, enhancedCode, reply && replyPattern(reply), domain]);
}

/** Whether the group was named after this failure, by whichever key of the ring. */
function isOfGroup(
  keyRing: Pick<KeyRing, "blindIndexesOf">,
  failure: Failure,
  group: string,
): boolean {
  const indexes = keyRing.blindIndexesOf("failure", alikeText(failure));
  return indexes.some((index) => index.slice(0, groupDigits) === group);
}

/** Under every key of the ring: what a search looks for. */
export function domainIndexes(keyRing: Pick<KeyRing, "blindIndexesOf">, domain: string): string[] {
  return keyRing.blindIndexesOf("domain", domain.toLowerCase());
}

function domainIndex(keyRing: Pick<KeyRing, "blindIndexOf">, domain: string): string {
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
  keyRing: Pick<KeyRing, "blindIndexesOf">,
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
  const fits = failures.find((failure) => isOfGroup(keyRing, failure, group));
  const told = fits ?? (first && failures[recipients.indexOf(first)]);
  // A group without a fingerprint is of many domains.
  if (told) return fits ?? { ...told, domain: null };
  return { domain: null, smtpCode: null, enhancedCode: null, reply: error };
}

/**
 * The fingerprints of a stored email under the current key. One that no recipient or reply on
 * record fits any more, since it was edited meanwhile, stays as it is: it still groups.
 */
export function renewedIndex(
  keyRing: Pick<KeyRing, "blindIndexOf" | "blindIndexesOf">,
  { recipients, attempts }: DecryptedEmail,
  old: { group: string | null; domain: string | null },
): { group: string | null; domain: string | null } {
  const domains = recipients.map(({ address }) => (address === null ? null : domainOf(address)));
  const known = domains.find(
    (domain) => domain !== null && domainIndexes(keyRing, domain).includes(old.domain ?? ""),
  );
  const failures = recipients.flatMap(({ smtpCode, enhancedCode, reply }, index) => {
    const domain = domains[index] ?? null;
    const replies = [reply, ...attempts.map((attempt) => attempt.reply), null];
    return replies.flatMap((said) => [
      { domain, smtpCode, enhancedCode, reply: said },
      { domain, smtpCode: null, enhancedCode: null, reply: said },
    ]);
  });
  const { group } = old;
  const fits = group && failures.find((failure) => isOfGroup(keyRing, failure, group));
  return {
    group: fits ? failureIndex(keyRing, fits).group : group,
    domain: known ? domainIndex(keyRing, known) : old.domain,
  };
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
