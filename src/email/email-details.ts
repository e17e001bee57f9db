import type { Address, EmailDraft } from "./email.ts";

/**
 * What a caller asked for, as `GET /emails/{id}` shows it and as an edit composes anew from.
 * Stored encrypted beside the message; what the message holds to the byte is in it alone.
 */
export interface EmailDetails {
  from: Address;
  replyTo: Address[];
  body: string | null;
  htmlBody: string | null;
  headers: Record<string, string>;
  attachments: {
    filename: string;
    contentType: string;
    contentId: string | null;
    sizeBytes: number;
  }[];
  /** A finished message, of which nothing but the envelope is known. */
  isRaw?: boolean;
  /** Set by an edit; before one it follows from the email's id and the sender's domain. */
  messageId?: string;
}

/** Where a text stands in the message, and how it becomes what was asked for again. */
export interface BodyPlace {
  /** Of the message's bytes. */
  at: number;
  bytes: number;
  encoding: "quoted-printable" | "base64";
  /** What ended the lines of the text; in the message it is CRLF. */
  lineEnd: "\n" | "\r\n";
}

/** Absent: the text is not in the message as it was asked for, or there is none. */
export interface BodyPlaces {
  body?: BodyPlace;
  htmlBody?: BodyPlace;
}

/** The stored form. Those of earlier versions hold the details themselves, bodies and all. */
export interface StoredDetails {
  /** A body that has a place is null here. */
  details: EmailDetails;
  places: BodyPlaces;
}

export function detailsOf(draft: EmailDraft, places: BodyPlaces, messageId?: string) {
  const details: EmailDetails = {
    ...(messageId === undefined ? {} : { messageId }),
    ...(draft.raw === undefined ? {} : { isRaw: true }),
    from: draft.from,
    replyTo: draft.replyTo,
    body: places.body ? null : draft.body,
    htmlBody: places.htmlBody ? null : draft.htmlBody,
    headers: draft.headers,
    attachments: draft.attachments.map(({ filename, contentType, contentId, content }) => ({
      filename,
      contentType,
      contentId,
      sizeBytes: content.length,
    })),
  };
  return { details, places } satisfies StoredDetails;
}
