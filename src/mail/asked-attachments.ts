import type { Attachment } from "../email/email.ts";
import type { EmailDetails } from "../email/email-details.ts";
import { singleSpaced } from "./header-text.ts";
import { readAttachments } from "./read-message.ts";

type AskedFor = EmailDetails["attachments"][number];

/**
 * The attachments in the order of the request, their bytes from the stored message, their names
 * and types as they were asked for; undefined for one the message does not hold.
 */
export async function askedAttachments(
  asked: AskedFor[],
  message: Uint8Array,
): Promise<(Attachment | undefined)[]> {
  const read = await readAttachments(message);
  return asked.map((wanted, index) => {
    const found = find(asked, index, read);
    // What the message says of itself is what a mail program reads; the name is as asked for.
    return found && { ...wanted, content: found.content };
  });
}

/** Parts that HTML refers to come first in the message, so places alone do not tell. */
function find(asked: AskedFor[], index: number, read: Attachment[]): Attachment | undefined {
  const wanted = asked[index];
  if (!wanted) return undefined;
  const place = asked.slice(0, index).filter((one) => keyOf(one) === keyOf(wanted)).length;
  return read.filter((one) => keyOf({ ...one, sizeBytes: one.content.length }) === keyOf(wanted))[
    place
  ];
}

function keyOf({
  filename,
  contentId,
  sizeBytes,
}: Pick<AskedFor, "filename" | "contentId" | "sizeBytes">) {
  // A message holds a name with its runs of spaces as one space.
  return JSON.stringify([singleSpaced(filename), contentId, sizeBytes]);
}
