import PostalMime, { type Attachment as PostalAttachment } from "postal-mime";
import type { Attachment } from "../email/email.ts";

/** A stored message, read back for a person to look at. */
export interface ReadMessage {
  subject: string;
  text: string | null;
  html: string | null;
  attachments: Attachment[];
}

/**
 * Parses a message we composed. Rejects on one that no parser could read; those we made can be.
 */
export async function readMessage(message: Uint8Array): Promise<ReadMessage> {
  const email = await PostalMime.parse(message, { forceRfc822Attachments: true });
  const contents = await exactContents(message, email.attachments);
  return {
    subject: email.subject ?? "",
    text: email.text ?? null,
    html: email.html ?? null,
    attachments: email.attachments.map((attachment, i) => ({
      filename: attachment.filename ?? "attachment",
      contentType: attachment.mimeType,
      contentId: attachment.contentId?.replace(/^<|>$/g, "") ?? null,
      content: contents[i] ?? new Uint8Array(0),
    })),
  };
}

/** The attachments in the order of the message; `/attachments/{n}` counts them from 0. */
export async function readAttachments(message: Uint8Array): Promise<Attachment[]> {
  return (await readMessage(message)).attachments;
}

/**
 * postal-mime reads a calendar as text and changes its line ends (4.0.0, `text/calendar` in
 * postal-mime.ts). Under a name it does not know the same bytes come out as they are.
 */
async function exactContents(
  message: Uint8Array,
  attachments: PostalAttachment[],
): Promise<Uint8Array[]> {
  const hasCalendar = attachments.some(({ mimeType }) => mimeType === "text/calendar");
  if (!hasCalendar) return attachments.map(({ content }) => bytesOf(content));
  const disguised = Buffer.from(message)
    .toString("latin1")
    .replace(/^Content-Type: text\/calendar/gim, "Content-Type: application/x-calendar");
  const email = await PostalMime.parse(Buffer.from(disguised, "latin1"), {
    forceRfc822Attachments: true,
  });
  return email.attachments.map(({ content }) => bytesOf(content));
}

function bytesOf(content: PostalAttachment["content"]): Uint8Array {
  return typeof content === "string" ? Buffer.from(content, "utf8") : new Uint8Array(content);
}
