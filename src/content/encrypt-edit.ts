import type { KeyRing } from "../crypto/key-ring.ts";
import type { Address, Attachment, EmailDraft } from "../email/email.ts";
import { detailsOf } from "../email/email-details.ts";
import { type EmailEdit, isContentEdit, type RecipientLists } from "../email/email-edit.ts";
import { writeMailbox } from "../email/mailbox.ts";
import { AppError } from "../errors.ts";
import { askedAttachments } from "../mail/asked-attachments.ts";
import { composeMessage, messageIdFor } from "../mail/compose.ts";
import type { StoredAddressee, StoredChange, StoredContent } from "../store/changes.ts";
import type { CurrentEmail } from "./current-email.ts";
import { orUnreadable } from "./decrypt-email.ts";
import { encryptDetails } from "./stored-details.ts";
import { decryptMessage, encryptMessage } from "./stored-message.ts";

export interface EncryptEditDeps {
  keyRing: KeyRing;
  messageBytesMax: number;
  /** Ciphertext of the stored message; asked for only when its attachments are needed. */
  readMessage: () => Promise<Uint8Array>;
}

/**
 * An edit as the database takes it. Content is composed anew under the same Message-ID and
 * encrypted under the email's own data key, each text with a nonce of its own: the replies on
 * record stay readable, and destroying that one key still destroys everything.
 */
export async function encryptEdit(
  current: CurrentEmail,
  edit: EmailEdit,
  deps: EncryptEditDeps,
): Promise<StoredChange> {
  const { content, recipients, ...rest } = edit;
  if (!isContentEdit(edit)) return rest;
  const attachments = content?.attachments ?? (await storedAttachments(current, deps));
  const draft = { ...current.draft, ...recipients, ...content, attachments };
  return {
    ...rest,
    content: await encryptContent(current, draft, deps.messageBytesMax),
    ...(recipients ? { recipients: addressees(current, recipients, deps.keyRing) } : {}),
  };
}

async function storedAttachments(
  { email, details, dataKey }: CurrentEmail,
  { readMessage }: EncryptEditDeps,
): Promise<Attachment[]> {
  if (details.attachments.length === 0) return [];
  const stored = { message: await readMessage(), messageBytes: email.messageBytes };
  const message = orUnreadable(() => decryptMessage(dataKey, stored));
  const found = await askedAttachments(details.attachments, message);
  const attachments = found.filter((attachment) => attachment !== undefined);
  // Better no edit than one that drops a file in silence.
  if (attachments.length !== found.length) throw new Error("an attachment could not be read back");
  return attachments;
}

async function encryptContent(
  { email, details, dataKey }: CurrentEmail,
  draft: EmailDraft,
  messageBytesMax: number,
): Promise<StoredContent> {
  const messageId = details.messageId ?? messageIdFor(email.id, details.from);
  const { message, places } = await composeMessage(draft, { messageId });
  if (message.length > messageBytesMax) throw messageTooLarge(message.length, messageBytesMax);
  return {
    sender: dataKey.encryptText(draft.from.address, "sender"),
    subject: dataKey.encryptText(draft.subject, "subject"),
    messageBytes: message.length,
    message: await encryptMessage(dataKey, message),
    details: encryptDetails(dataKey, detailsOf(draft, places, messageId)),
  };
}

/**
 * Before the first attempt recipients are numbered anew. Afterwards the record speaks of them
 * by position: whoever stays keeps theirs, and the new ones get positions beyond.
 */
function addressees(
  { email, recipients: known, dataKey }: CurrentEmail,
  lists: RecipientLists,
  keyRing: KeyRing,
): StoredAddressee[] {
  const hasRecord = email.attemptsSpent > 0;
  let next = hasRecord ? Math.max(-1, ...known.map(({ position }) => position)) + 1 : 0;
  return (["to", "cc", "bcc"] as const).flatMap((kind) =>
    lists[kind].flatMap((mailbox) => {
      const old = hasRecord ? known.find((one) => isSame(one.mailbox, mailbox)) : undefined;
      if (old?.status === "sent") return [];
      const position = old?.position ?? next++;
      const address = dataKey.encryptText(writeMailbox(mailbox), `address:${position}`);
      const addressIndex = keyRing.blindIndex(mailbox.address);
      return [{ position, kind, address, addressIndex, isNew: old === undefined }];
    }),
  );
}

/** In whatever letter case: it is one person. */
function isSame(one: Address, other: Address): boolean {
  return one.address.toLowerCase() === other.address.toLowerCase();
}

function messageTooLarge(bytes: number, bytesMax: number): AppError {
  return new AppError("payload_too_large", {
    publicDetail:
      `The composed message is ${bytes} bytes; ` +
      `at most ${bytesMax} are accepted (MAX_MESSAGE_MB). Nothing was changed.`,
  });
}
