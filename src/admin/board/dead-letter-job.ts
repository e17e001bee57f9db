import type { JobState, QueueJob, QueueJobJson } from "@bull-board/api/typings/app";
import type { DecryptedEmail } from "../../content/decrypt-email.ts";
import type { EmailState } from "../../email/email.ts";
import { deadLetterStates, hasEnded } from "../../email/states.ts";
import { AppError } from "../../errors.ts";
import type { StoredAttempt, StoredEmail, StoredRecipient } from "../../store/stored-email.ts";

/** What the buttons of a job do. */
export type JobActions = Record<"retry" | "promote" | "remove", () => Promise<void>>;

/** An email as a job of Bull Board. `decrypted` is null when its key is not in the ring. */
export function emailJob(
  email: StoredEmail,
  decrypted: DecryptedEmail | null,
  actions: JobActions,
): QueueJob {
  return {
    opts: {},
    toJSON: () => toJson(email, decrypted),
    getState: async () => jobStateOf(email.status),
    ...actions,
  };
}

export async function refuse(): Promise<never> {
  throw new AppError("forbidden", { publicDetail: "A dead letter can be replayed, nothing else." });
}

export function isDeadLetter(state: EmailState): boolean {
  return deadLetterStates.some((each) => each === state);
}

/** One that was replayed is followed on the page where the button was pressed. */
function jobStateOf(state: EmailState): JobState {
  if (isDeadLetter(state)) return "failed";
  if (hasEnded(state)) return "completed";
  return state === "sending" ? "active" : "delayed";
}

function toJson(email: StoredEmail, decrypted: DecryptedEmail | null): QueueJobJson {
  const attempts = decrypted?.attempts ?? email.attempts;
  const last = attempts.at(-1);
  const isDead = isDeadLetter(email.status);
  const reason = failedReason(email, decrypted);
  return {
    id: email.id,
    name: decrypted?.subject || "(no subject)",
    timestamp: email.createdAt.getTime(),
    processedOn: last?.startedAt.getTime() ?? null,
    finishedOn: isDead || email.sentAt ? (last?.endedAt.getTime() ?? null) : null,
    attemptsMade: email.attemptsSpent,
    failedReason: isDead ? reason : "",
    // Shown instead of the reason, the last one first.
    stacktrace: isDead ? [...attempts.map(attemptLine), `${reason}\n`] : [],
    data: jobData(email, decrypted),
    // Since it was added: Bull Board makes of it when the job runs, and says "unknown" if they differ.
    opts: { attempts: email.maxRetries + 1, delay: delayOf(email) },
    delay: delayOf(email),
    progress: progressOf(email),
    returnvalue: null,
  };
}

function delayOf({ status, nextAttemptAt, scheduledAt, createdAt }: StoredEmail): number {
  if (status !== "pending") return 0;
  return Math.max(0, (nextAttemptAt ?? scheduledAt).getTime() - createdAt.getTime());
}

/** Of what is being sent: the attempt, of as many as there may be. */
function progressOf({ status, attemptsSpent, maxRetries }: StoredEmail): QueueJobJson["progress"] {
  if (status !== "sending") return 0;
  const [attempt, of] = [attemptsSpent + 1, maxRetries + 1];
  return { attempt, of, progress: Math.round((100 * attempt) / of) };
}

function jobData(email: StoredEmail, decrypted: DecryptedEmail | null) {
  return {
    email_id: email.id,
    state: email.status,
    owner: email.ownerId,
    recipients: (decrypted?.recipients ?? []).map((recipient) => ({
      address: recipient.address,
      status: recipient.status,
      reply: replyText(recipient) || null,
    })),
    attempts: email.attemptsSpent,
    max_retries: email.maxRetries,
    scheduled_at: email.scheduledAt,
    tags: email.tags,
    metadata: email.metadata,
    region: email.region,
  };
}

function failedReason(email: StoredEmail, decrypted: DecryptedEmail | null): string {
  if (decrypted === null)
    return "Its key is not in the key ring: what the server said is unreadable.";
  const missed = decrypted.recipients.filter(({ status }) => status !== "sent");
  const said = [...new Set(missed.map(replyText).filter((text) => text !== ""))];
  const replies = said.length > 1 ? missed.map(recipientLine).join("\n") : (said[0] ?? "");
  const last = decrypted.attempts.at(-1);
  return (
    replies || (last ? replyText(last) : "") || reasonWithoutReply[email.status] || email.status
  );
}

const reasonWithoutReply: Partial<Record<EmailState, string>> = {
  held: "Held: it was too late when its turn came.",
  uncertain: "The connection broke after the message was handed over: it may have been accepted.",
  failed: "There was no reply.",
};

function recipientLine(recipient: StoredRecipient): string {
  return `${recipient.address}: ${replyText(recipient) || recipient.status}`;
}

function attemptLine(attempt: StoredAttempt): string {
  const { number, startedAt, outcome } = attempt;
  const at = startedAt.toISOString().replace("T", " ").slice(0, 19);
  return `#${number}  ${at} UTC  ${outcome}  ${replyText(attempt) || "no reply"}`;
}

/** As the server said it: `550 5.1.1 No such user`. */
function replyText(said: Pick<StoredAttempt, "smtpCode" | "enhancedCode" | "reply">): string {
  const { smtpCode, enhancedCode, reply } = said;
  return [smtpCode, enhancedCode, reply].filter((part) => part !== null && part !== "").join(" ");
}
