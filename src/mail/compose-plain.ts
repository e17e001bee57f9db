import { randomBytes } from "node:crypto";
import MimeNode from "nodemailer/lib/mime-node";
import type { EmailDraft } from "../email/email.ts";
import type { BodyPlace, BodyPlaces } from "../email/email-details.ts";
import { addressList } from "./address-list.ts";
import { base64LinesBytes, writeBase64Lines } from "./base64-lines.ts";
import { assertHeaderBlock, assertHeaderName, headerCase, headerField } from "./header-field.ts";
import { callersHeaderValue, encodeHeaderText } from "./header-text.ts";
import { encodeLineStarts } from "./line-starts.ts";
import { quotedPrintableBytesMax, writeQuotedPrintable } from "./quoted-printable.ts";
import { createScratch } from "./scratch.ts";
import { type TextPart, textPart } from "./text-part.ts";

/** ASCII as it is written, or a text yet to be encoded. */
type Piece = string | TextPart;

/** A message without its Date. */
export interface Composed {
  message: Uint8Array;
  places: BodyPlaces;
}

const textType = "text/plain; charset=utf-8";
const htmlType = "text/html; charset=utf-8";
const lf = 0x0a;
/** The two texts of a message and the message, if they are not larger than most are. */
const scratch = createScratch(256 * 1024);

/**
 * The message of a draft without attachments; null: this one is nodemailer's. It exists because
 * composing bounds how many emails are accepted a second: 10 kB take 0.04 ms of CPU here, and 0.35
 * in nodemailer's streams. Byte for byte what `composeByNodemailer` makes of it, but for the boundary.
 * Throws `invalid_content` as `composeMessage` does.
 */
export function composePlain(draft: EmailDraft, ids: { messageId: string }): Composed | null {
  const { body, htmlBody } = draft;
  if (draft.attachments.length > 0 || !/^<[\x21-\x7e]+>$/.test(ids.messageId)) return null;
  scratch.clear();
  if (body !== null && htmlBody !== null) {
    const [text, html] = [textPart(body, scratch), textPart(htmlBody, scratch)];
    const { message, placeOf } = join(alternatives(headerFields(draft, ids.messageId), text, html));
    return { message, places: { ...placeOf("body", text), ...placeOf("htmlBody", html) } };
  }
  const text = body ?? htmlBody;
  if (text === null) return null;
  const [name, type] =
    body === null ? (["htmlBody", htmlType] as const) : (["body", textType] as const);
  const part = textPart(text, scratch);
  const { message, placeOf } = join(single(headerFields(draft, ids.messageId), type, part));
  return { message, places: placeOf(name, part) };
}

/** Those of the email itself, folded; the ones about its structure stand around them. */
function headerFields(draft: EmailDraft, messageId: string): string[] {
  const { from, to, cc, replyTo, subject, headers } = draft;
  const fields: [name: string, value: string][] = [
    ["From", addressList([from])],
    ["To", addressList(to)],
    ["Cc", addressList(cc)],
    ["Reply-To", addressList(replyTo)],
    ["Message-ID", messageId],
    ["Subject", encodeHeaderText(subject)],
  ];
  for (const [name, value] of Object.entries(headers)) {
    assertHeaderName(name);
    fields.push([headerCase(name), headerValue(name, value)]);
  }
  return fields
    .filter(([, value]) => value !== "")
    .map(([name, value]) => headerField(name, value));
}

function headerValue(name: string, value: string): string {
  const encoded = callersHeaderValue(name, value);
  const isIdList = /^references$/i.test(name);
  return isIdList ? MimeNode.encodeHeaderValue("References", encoded) : encoded;
}

function single(fields: string[], contentType: string, part: TextPart): Piece[] {
  const encoding = headerField("Content-Transfer-Encoding", part.contentTransferEncoding);
  return [headerBlock([encoding, ...fields], contentType), part];
}

function alternatives(fields: string[], text: TextPart, html: TextPart): Piece[] {
  // No encoded text has "=_" in it; and nobody who writes a text could know the boundary.
  const boundary = `=_${randomBytes(14).toString("hex")}`;
  return [
    headerBlock(fields, `multipart/alternative; boundary="${boundary}"`),
    `--${boundary}\r\n${partHeaders(textType, text)}`,
    text,
    `\r\n--${boundary}\r\n${partHeaders(htmlType, html)}`,
    html,
    `\r\n--${boundary}--\r\n`,
  ];
}

function headerBlock(fields: string[], contentType: string): string {
  const type = headerField("Content-Type", contentType);
  const block = [...fields, headerField("MIME-Version", "1.0"), type].join("\r\n");
  assertHeaderBlock(block);
  return `${block}\r\n\r\n`;
}

function partHeaders(contentType: string, { contentTransferEncoding }: TextPart): string {
  return `Content-Type: ${contentType}\r\nContent-Transfer-Encoding: ${contentTransferEncoding}\r\n\r\n`;
}

/** The pieces in a row, encoded; ends in a line end. */
function join(pieces: Piece[]) {
  const room = pieces.reduce((sum, piece) => sum + bytesMax(piece), 2);
  const out = scratch.take(room);
  const placed = new Map<Piece, BodyPlace | null>();
  let end = 0;
  for (const piece of pieces) {
    const at = end;
    end = write(piece, out, at);
    if (typeof piece !== "string") placed.set(piece, placeFrom(piece, at, end));
  }
  const message = out.subarray(0, out[end - 1] === lf ? end : write("\r\n", out, end));
  return {
    // The room left over may be twice the message; of a large one it is little.
    message: room <= message.length * 1.2 ? scratch.keep(message) : Buffer.from(message),
    placeOf(name: keyof BodyPlaces, part: TextPart): BodyPlaces {
      const place = placed.get(part);
      return place ? { [name]: place } : {};
    },
  };
}

function placeFrom(part: TextPart, at: number, end: number): BodyPlace | null {
  const { contentTransferEncoding: encoding, lineEnd } = part;
  return lineEnd && { at, bytes: end - at, encoding, lineEnd };
}

function bytesMax(piece: Piece): number {
  if (typeof piece === "string") return piece.length;
  return piece.contentTransferEncoding === "base64"
    ? base64LinesBytes(piece.content.length)
    : quotedPrintableBytesMax(piece.content);
}

function write(piece: Piece, out: Buffer, at: number): number {
  if (typeof piece === "string") return at + out.write(piece, at, "latin1");
  return piece.contentTransferEncoding === "base64"
    ? writeBase64Lines(piece.content, out, at)
    : encodeLineStarts(out, at, writeQuotedPrintable(piece.content, out, at));
}
