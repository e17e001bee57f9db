import type { Address, EmailDraft } from "./email.ts";

/**
 * What a caller asked for, as `GET /emails/{id}` shows it and as an edit composes anew from.
 * Stored encrypted beside the message; the bytes of attachments are in the message alone.
 */
export interface EmailDetails {
  from: Address;
  replyTo: Address | null;
  body: string | null;
  htmlBody: string | null;
  headers: Record<string, string>;
  attachments: {
    filename: string;
    contentType: string;
    contentId: string | null;
    sizeBytes: number;
  }[];
  /** Set by an edit; before one it follows from the email's id and the sender's domain. */
  messageId?: string;
}

export function detailsOf(draft: EmailDraft, messageId?: string): EmailDetails {
  return {
    ...(messageId === undefined ? {} : { messageId }),
    from: draft.from,
    replyTo: draft.replyTo,
    body: draft.body,
    htmlBody: draft.htmlBody,
    headers: draft.headers,
    attachments: draft.attachments.map(({ filename, contentType, contentId, content }) => ({
      filename,
      contentType,
      contentId,
      sizeBytes: content.length,
    })),
  };
}
