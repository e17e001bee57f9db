import type { DecryptedEmail } from "../../../content/decrypt-email.ts";
import { hasEnded } from "../../../email/states.ts";
import type { StoredAttempt, StoredEmail } from "../../../store/stored-email.ts";
import type { Frame } from "../frame.tsx";
import { StateMark } from "../icons.tsx";
import { When } from "../when.tsx";
import { counted, shownStateOf } from "../words.ts";

/** An email of a list with what a person may read of it. */
export interface ListedEmail {
  email: StoredEmail;
  decrypted: DecryptedEmail;
}

export interface EmailRowProps {
  listed: ListedEmail;
  frame: Frame;
  /** Whether it can be selected; default: yes. */
  isPickable?: boolean;
}

/** One line of 40 px: state, to whom, what, when, and the last word about it. */
export function EmailRow({
  listed: { email, decrypted },
  frame,
  isPickable = true,
}: EmailRowProps) {
  const subject = subjectOf(decrypted);
  return (
    <tr data-id={email.id}>
      {isPickable && (
        <td class="pick">
          <input type="checkbox" name="id" value={email.id} aria-label={`Select ${subject}`} />
        </td>
      )}
      <td class="mark">
        <StateMark state={shownStateOf(email)} />
      </td>
      <td class="to">
        <Recipients decrypted={decrypted} />
      </td>
      <td class="what">
        <a href={emailPath(email.id)}>{subject}</a>
        <Tags tags={email.tags} />
      </td>
      {frame.principal.isAdmin && <td class="owner">{email.ownerId}</td>}
      <td class="note">{noteOf(decrypted)}</td>
      <td class="when">
        {isPast(email) && "due "}
        <When at={shownTimeOf(email)} frame={frame} form={isPast(email) ? "day" : "row"} />
      </td>
    </tr>
  );
}

export function emailPath(id: string): string {
  return `/console/emails/${id}`;
}

export function subjectOf({ subject, fault }: DecryptedEmail): string {
  if (subject === null) return fault ? "(its key is missing)" : "(content destroyed)";
  return subject.trim() || "(no subject)";
}

function Recipients({ decrypted: { recipients } }: { decrypted: DecryptedEmail }) {
  const addresses = recipients.map(({ address }) => address ?? "–");
  const [first = "–", ...others] = addresses;
  return (
    <span class="recipients" title={addresses.join(", ")}>
      <span>{first}</span>
      {others.length > 0 && <span class="more">+{others.length}</span>}
    </span>
  );
}

function Tags({ tags }: { tags: readonly string[] }) {
  const [first, second, ...others] = tags;
  return (
    <>
      {[first, second].map((tag) => tag !== undefined && <span class="tag">{tag}</span>)}
      {others.length > 0 && (
        <span class="tag" title={others.join(", ")}>
          +{others.length}
        </span>
      )}
    </>
  );
}

/** The time a pending email goes out, a sent one went out, any other was due. */
export function shownTimeOf(email: StoredEmail): Date {
  if (!hasEnded(email.status)) return email.nextAttemptAt ?? email.scheduledAt;
  return email.sentAt ?? email.attempts.at(-1)?.endedAt ?? email.scheduledAt;
}

/** It ended without an attempt: its time tells nothing but when it would have gone. */
function isPast({ status, attempts }: StoredEmail): boolean {
  return hasEnded(status) && status !== "held" && attempts.length === 0;
}

/** How often it was tried and what the server said last, unless all went well at once. */
function noteOf({ attempts }: DecryptedEmail): string {
  const last = attempts.at(-1);
  if (last === undefined || (last.outcome === "sent" && attempts.length === 1)) return "";
  return [attempts.length > 1 ? counted(attempts.length, "attempt") : "", replyWords(last)]
    .filter((part) => part !== "")
    .join(" · ");
}

/** `451 4.7.1 Greylisted`; what the server is not known to have said is told by the outcome. */
export function replyWords(attempt: StoredAttempt): string {
  const { smtpCode, enhancedCode, reply, outcome } = attempt;
  const words = [smtpCode, enhancedCode, reply?.replace(/\s+/g, " ")];
  const said = words.filter((word) => word != null && word !== "").join(" ");
  return said === "" ? outcomeWords[outcome] : said;
}

const outcomeWords: Record<StoredAttempt["outcome"], string> = {
  sent: "sent",
  partial: "sent to some",
  deferred: "deferred without a reply",
  bounced: "refused without a reply",
  uncertain: "no reply came after the message was sent",
};
