import PostalMime, { decodeWords } from "postal-mime";
import type { Attachment } from "../email/email.ts";
import { type ReadMessage, readMessage } from "../mail/read-message.ts";

/** What the console shows of a message, read back from its bytes. */
export interface ParsedMessage extends ReadMessage {
  /** Header lines as people read them; empty when absent. */
  from: string;
  to: string;
  cc: string;
  /** As they stand in the message, unfolded. */
  headers: { name: string; value: string }[];
}

/** A message that cannot be parsed shows nothing: the page offers its bytes all the same. */
export async function parseMessage(message: Uint8Array): Promise<ParsedMessage> {
  try {
    const [read, headers] = await Promise.all([readMessage(message), headersOf(message)]);
    const header = (name: string) =>
      decodeWords(headers.find((line) => line.name.toLowerCase() === name)?.value ?? "");
    const html = read.html === null ? null : withInlineImages(read.html, read.attachments);
    return { ...read, html, headers, from: header("from"), to: header("to"), cc: header("cc") };
  } catch {
    // Whatever a parser says of it, there is nothing to show.
    const nothing = { subject: "", from: "", to: "", cc: "", text: null, html: null };
    return { ...nothing, headers: [], attachments: [] };
  }
}

async function headersOf(message: Uint8Array): Promise<ParsedMessage["headers"]> {
  const end = Buffer.from(message.buffer, message.byteOffset, message.length).indexOf("\r\n\r\n");
  const { headers } = await PostalMime.parse(message.subarray(0, end < 0 ? undefined : end + 4));
  return headers.map(({ originalKey, value }) => ({ name: originalKey, value }));
}

/** `cid:` references become data URLs: inside the sandbox nothing can be fetched. */
function withInlineImages(html: string, attachments: readonly Attachment[]): string {
  const images = new Map<string, Attachment>();
  for (const attachment of attachments) {
    const isImage = /^image\/[a-z+.-]+$/.test(attachment.contentType);
    if (isImage && attachment.contentId !== null) images.set(attachment.contentId, attachment);
  }
  return html.replace(/\bcid:([^"'\s)>]+)/gi, (reference, contentId: string) => {
    const image = images.get(contentId);
    if (image === undefined) return reference;
    return `data:${image.contentType};base64,${Buffer.from(image.content).toString("base64")}`;
  });
}
