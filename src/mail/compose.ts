import MailComposer, { type MailComposerAttachment } from "nodemailer/lib/mail-composer";
import type { Address, Attachment, EmailDraft } from "../email/email.ts";
import { mailbox } from "./address-list.ts";
import { type Composed, composePlain } from "./compose-plain.ts";
import { assertHeaderBlock, assertHeaderName, headerCase, headerField } from "./header-field.ts";
import {
  callersHeaderValue,
  encodeHeaderText,
  singleSpaced,
  withoutControls,
} from "./header-text.ts";
import { lineStartsEncoded } from "./line-starts.ts";
import { textPart } from "./text-part.ts";

/**
 * The message a draft stands for, once and for all: only ASCII, CRLF line ends, the Message-ID
 * given. It has no Date (the transport puts that of the attempt in front) and no Bcc. Beside it
 * where in it the bodies can be read back. Throws `invalid_content` when a header cannot be
 * written within the limits of RFC 5322.
 */
export async function composeMessage(
  draft: EmailDraft,
  ids: { messageId: string },
): Promise<Composed> {
  if (draft.raw !== undefined) return { message: draft.raw, places: {} };
  const plain = composePlain(draft, ids);
  return plain ?? { message: await composeByNodemailer(draft, ids), places: {} };
}

/** Any draft, but slower: `composePlain` makes the same message of most. */
export async function composeByNodemailer(
  draft: EmailDraft,
  ids: { messageId: string },
): Promise<Uint8Array> {
  // A file alone would be the message itself; mail programs show it as a file beside a text.
  const isFileAlone = draft.htmlBody === null && draft.attachments.length > 0;
  const text = draft.body ?? (isFileAlone ? "" : null);
  // Field by field, and only addresses that our own parser took: nothing a caller wrote may ever
  // be read by nodemailer as an option, a path, a URL or a list of addresses.
  const root = new MailComposer({
    from: mailbox(draft.from),
    ...(draft.replyTo.length > 0 ? { replyTo: draft.replyTo.map(mailbox) } : {}),
    ...(draft.to.length > 0 ? { to: draft.to.map(mailbox) } : {}),
    ...(draft.cc.length > 0 ? { cc: draft.cc.map(mailbox) } : {}),
    ...(text === null ? {} : { text: encodedPart(text) }),
    ...(draft.htmlBody === null ? {} : { html: encodedPart(draft.htmlBody) }),
    alternatives: draft.attachments.filter(isInvitation).map(invitationPart),
    attachments: draft.attachments.filter((one) => !isInvitation(one)).map(attachmentPart),
    messageId: ids.messageId,
    disableFileAccess: true,
    disableUrlAccess: true,
  }).compile();
  // Left out when it is empty, as every header without a value.
  root.setHeader("Subject", folded("Subject", encodeHeaderText(draft.subject)));
  for (const name of Object.keys(draft.headers)) assertHeaderName(name);
  for (const [name, value] of Object.entries(draft.headers)) {
    const encoded = callersHeaderValue(name, value);
    const prepared = folded(headerCase(name), encoded);
    // MimeNode takes References as a plain list only; prepared, it would print the object.
    const isList = name.toLowerCase() === "references";
    root.addHeader(name, isList ? encoded : prepared);
  }
  // A blank value is how MimeNode is told to leave a header out that it would make up itself.
  root.setHeader("Date", " ");
  const message = lineStartsEncoded(withoutTrailingSpaces(await root.build()));
  const end = Math.max(0, message.indexOf("\r\n\r\n"));
  assertHeaderBlock(message.toString("latin1", 0, end));
  return message;
}

/** As nodemailer takes a value that is final. */
function folded(name: string, value: string) {
  const field = headerField(name, value);
  return { prepared: true, value: field.slice(name.length + 1).replace(/^ /, "") };
}

/** Nodemailer writes a space behind the colon, also where the value begins on the next line. */
function withoutTrailingSpaces(message: Buffer): Buffer {
  const end = message.indexOf("\r\n\r\n");
  const headers = message.toString("latin1", 0, Math.max(0, end));
  if (!headers.includes(": \r\n ")) return message;
  const trimmed = Buffer.from(headers.replaceAll(": \r\n ", ":\r\n "), "latin1");
  return Buffer.concat([trimmed, message.subarray(end)]);
}

/** Made of the email's own id, so that every attempt and every replay carries the same one. */
export function messageIdFor(emailId: string, from: Address): string {
  return `<${emailId}@${from.address.slice(from.address.lastIndexOf("@") + 1)}>`;
}

/**
 * At least as large as the composed message, in bytes, without composing it: what must be set
 * aside before that is begun.
 */
export function estimateSizeBytes(draft: EmailDraft): number {
  const addresses = [draft.from, ...draft.replyTo, ...draft.to];
  const names = [...addresses, ...draft.cc].map(({ name, address }) => `${name ?? ""}${address}`);
  const headers = Object.entries(draft.headers).map(([name, value]) => name + value);
  const words = [draft.subject, ...names, ...headers];
  // An encoded-word triples a byte and frames at most 52 characters; a name costs 60 beside it.
  const headerBytes = words.reduce((sum, text) => sum + Buffer.byteLength(text) * 5 + 80, 2_000);
  const bodies = [draft.body, draft.htmlBody].filter((body) => body !== null);
  // Quoted-printable triples a byte at worst, and breaks the line after 76 characters.
  const bodyBytes = bodies.reduce((sum, body) => sum + Buffer.byteLength(body) * 3.2 + 500, 0);
  const attachmentBytes = draft.attachments.reduce(
    (sum, { content, filename, contentType, contentId }) =>
      sum +
      content.length * 1.4 +
      Buffer.byteLength(filename) * 10 +
      contentType.length * 2 +
      (contentId?.length ?? 0) +
      1_000,
    0,
  );
  return Math.ceil(headerBytes + bodyBytes + attachmentBytes + (draft.raw?.length ?? 0));
}

function encodedPart(text: string) {
  const { content, contentTransferEncoding } = textPart(text);
  return { content, contentTransferEncoding };
}

function attachmentPart({ filename, contentType, contentId, content }: Attachment) {
  const part: MailComposerAttachment = {
    // A view, not a copy: an attachment may have 25 MB.
    content: Buffer.from(content.buffer, content.byteOffset, content.byteLength),
    filename: singleSpaced(withoutControls(filename)) || "attachment",
    contentType: singleSpaced(safeContentType(contentType)),
    contentTransferEncoding: "base64",
    contentDisposition: contentId === null || isText(contentType) ? "attachment" : "inline",
  };
  if (contentId !== null) part.cid = contentId.replace(/[^\x21-\x7e]|[<>]/g, "");
  return part;
}

/**
 * A calendar file with a method is an invitation: Gmail and Outlook show its buttons when it is an
 * alternative of the text (RFC 6047 section 2.4), and a file to download otherwise.
 */
function isInvitation({ contentType, contentId }: Attachment): boolean {
  return contentId === null && /^text\/calendar\s*;.*\bmethod=/i.test(contentType);
}

function invitationPart(attachment: Attachment): MailComposerAttachment {
  return { ...attachmentPart(attachment), contentDisposition: "inline" };
}

/** Inline, a reader takes a text for a part of the body: the file would be gone, the body longer. */
function isText(contentType: string): boolean {
  return /^text\//i.test(contentType);
}

/**
 * A type that is none, or that would make a part of the message out of a file, becomes bytes. So
 * does `message/…`, which may not be encoded (RFC 2046 section 5.2.1): readers go by its name.
 */
function safeContentType(contentType: string): string {
  const token = "[\\w!#$&^.+-]{1,127}";
  const isType = new RegExp(`^${token}/${token}(;[\\x20-\\x7e]{0,1000})?$`).test(contentType);
  return isType && !/^(multipart|message)\//i.test(contentType)
    ? contentType
    : "application/octet-stream";
}
