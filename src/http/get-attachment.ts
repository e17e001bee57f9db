import type { Attachment } from "../email/email.ts";
import type { EmailDetails } from "../email/email-details.ts";
import { AppError } from "../errors.ts";
import { readAttachments } from "../mail/read-message.ts";
import type { ApiContext } from "./api-env.ts";
import type { AppDeps } from "./app-deps.ts";
import { openDetails, openMessage } from "./email-answer.ts";
import { findEmail } from "./find-email.ts";
import { contentDestroyed } from "./get-raw.ts";

type AskedFor = EmailDetails["attachments"][number];

/** GET /api/v1/emails/{id}/attachments/{n}: n counts from 0 in the order of the request. */
export function createGetAttachment(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const email = await findEmail(c, deps, { details: true, message: true });
    const asked = openDetails(email, deps.keyRing)?.attachments;
    const message = openMessage(email, deps.keyRing);
    if (!asked || !message) throw contentDestroyed();
    const n = c.req.param("n") ?? "";
    const index = /^\d{1,3}$/.test(n) ? Number(n) : -1;
    const attachment = pick(asked, index, await readAttachments(message));
    if (!attachment) {
      throw new AppError("not_found", { publicDetail: "The email has no such attachment." });
    }
    return new Response(Buffer.from(attachment.content), {
      headers: {
        "content-type": attachment.contentType,
        "content-disposition": disposition(attachment.filename),
      },
    });
  };
}

/** Parts that HTML refers to come first in the message, so places alone do not tell. */
function pick(asked: AskedFor[], index: number, read: Attachment[]): Attachment | undefined {
  const wanted = asked[index];
  if (!wanted) return undefined;
  const place = asked.slice(0, index).filter((one) => keyOf(one) === keyOf(wanted)).length;
  const same = read.filter(
    (one) => keyOf({ ...one, sizeBytes: one.content.length }) === keyOf(wanted),
  );
  const found = same[place];
  // What the message says of itself is what a mail program reads; the name is as asked for.
  return found && { ...found, filename: wanted.filename, contentType: wanted.contentType };
}

function keyOf({
  filename,
  contentId,
  sizeBytes,
}: Pick<AskedFor, "filename" | "contentId" | "sizeBytes">) {
  return JSON.stringify([filename, contentId, sizeBytes]);
}

/** RFC 6266: a plain name for old programs, the real one percent-encoded. */
function disposition(filename: string): string {
  const plain = filename.replace(/[^\w.-]/g, "_");
  const encoded = encodeURIComponent(filename).replace(/['()*]/g, percentEncoded);
  return `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`;
}

function percentEncoded(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}
