import { type CurrentEmail, openCurrentEmail } from "../../../content/current-email.ts";
import {
  type DecryptedEmail,
  decryptEmail,
  isUnreadable,
  openDataKeyOf,
} from "../../../content/decrypt-email.ts";
import { openDetails } from "../../../content/stored-details.ts";
import { decryptMessage } from "../../../content/stored-message.ts";
import type { KeyRing } from "../../../crypto/key-ring.ts";
import type { EmailDetails } from "../../../email/email-details.ts";
import { AppError } from "../../../errors.ts";
import { withDate } from "../../../mail/message-date.ts";
import type { ByteSemaphore } from "../../../runtime/byte-semaphore.ts";
import type { Claims } from "../../../store/database.ts";
import type { Emails } from "../../../store/emails.ts";
import type { StoredEvent } from "../../../store/events.ts";
import type { StoredEmail, WholeEmail } from "../../../store/stored-email.ts";
import { type ParsedMessage, parseMessage } from "../../parsed-message.ts";

export interface OpenEmailDeps {
  emails: Emails;
  keyRing: KeyRing;
  /** Shared with accepting and sending: a message is held in it while it is read. */
  semaphore: ByteSemaphore;
}

/** Everything that the page of one email shows. */
export interface OpenedEmail {
  email: WholeEmail;
  decrypted: DecryptedEmail;
  details: EmailDetails | null;
  content: OpenedContent | null;
  /** Why the content is not shown; null: it is. */
  whyNot: "destroyed" | "unreadable" | "too_large" | null;
  events: readonly StoredEvent[];
}

export interface OpenedContent {
  /** As it went out, or as it will. */
  message: Uint8Array;
  parsed: ParsedMessage;
  /** As it was asked for: recipients with their names, and the texts. */
  current: CurrentEmail | null;
}

/** A larger message is offered as a file only. */
const shownBytesMax = 8_000_000;
/** The ciphertext, the message, and what the parser makes of it. */
const copiesAtOnce = 4;

/** Null: there is none that these claims may see. */
export async function openEmail(
  deps: OpenEmailDeps,
  id: string,
  as: Claims,
): Promise<OpenedEmail | null> {
  const [email, events] = await Promise.all([
    deps.emails.get(id, as, { details: true }),
    deps.emails.events(id, as),
  ]);
  if (email === null) return null;
  const opened = {
    email,
    decrypted: decryptEmail(email, deps.keyRing),
    events: events ?? [],
  };
  if (email.wrappedKey === null) {
    return { ...opened, details: null, content: null, whyNot: "destroyed" };
  }
  if (email.messageBytes > shownBytesMax) {
    return { ...opened, details: null, content: null, whyNot: "too_large" };
  }
  const read = await openContent(deps, email, as);
  return { ...opened, ...read };
}

async function openContent(
  deps: OpenEmailDeps,
  email: WholeEmail,
  as: Claims,
): Promise<Pick<OpenedEmail, "details" | "content" | "whyNot">> {
  try {
    return await withMessage(deps, email, as, async (whole, message) => {
      const parsed = await parseMessage(message);
      const details = openDetails(whole, deps.keyRing);
      const current = openCurrentEmail(whole, deps.keyRing);
      return { details, content: { message, parsed, current }, whyNot: null };
    });
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return { details: null, content: null, whyNot: "unreadable" };
  }
}

/** Reads the message under the semaphore; throws `overloaded` when it is full. */
export async function withMessage<Result>(
  { emails, keyRing, semaphore }: OpenEmailDeps,
  { id, ownerId, messageBytes }: StoredEmail,
  as: Claims,
  use: (email: WholeEmail, message: Uint8Array) => Promise<Result>,
): Promise<Result> {
  const giveBack = semaphore.tryAcquire(messageBytes * copiesAtOnce, { ownerId, ownBytes: 0 });
  if (giveBack === null) {
    throw new AppError("overloaded", {
      publicDetail: "Too much is being read at this moment. Try again in a few seconds.",
      retryAfterSeconds: 2,
    });
  }
  try {
    const email = await emails.get(id, as, { details: true, message: true });
    const dataKey = email && openDataKeyOf(email, keyRing);
    if (!email?.message || !dataKey) throw destroyed();
    const message = decryptMessage(dataKey, { message: email.message, messageBytes });
    return await use(email, withDate(message, dateOf(email)));
  } finally {
    giveBack();
  }
}

function destroyed(): AppError {
  return new AppError("not_found", { publicDetail: "The content of this email was destroyed." });
}

/** Of the last attempt that came as far as the body; before one, the time it is scheduled for. */
function dateOf({ attempts, scheduledAt }: StoredEmail): Date {
  return attempts.findLast(({ messageDate }) => messageDate !== null)?.messageDate ?? scheduledAt;
}
