import { orUnreadable } from "../../content/decrypt-email.ts";
import { openDetails } from "../../content/stored-details.ts";
import { AppError } from "../../errors.ts";
import { askedAttachments } from "../../mail/asked-attachments.ts";
import type { ApiContext } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { holdForRead, sendLarge } from "../middleware/large-read.ts";
import { openMessage } from "./email-answer.ts";
import { findEmail } from "./find-email.ts";
import { contentDestroyed } from "./get-raw.ts";

/** GET /api/v1/emails/{id}/attachments/{n}: n counts from 0 in the order of the request. */
export function createGetAttachment(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    await holdForRead(c, deps, (await findEmail(c, deps)).messageBytes);
    const email = await findEmail(c, deps, { details: true, message: true });
    const asked = orUnreadable(() => openDetails(email, deps.keyRing))?.attachments;
    const message = openMessage(email, deps.keyRing);
    if (!asked || !message) throw contentDestroyed();
    const n = c.req.param("n") ?? "";
    const index = /^\d{1,3}$/.test(n) ? Number(n) : -1;
    const attachment = (await askedAttachments(asked, message))[index];
    if (!attachment) {
      throw new AppError("not_found", { publicDetail: "The email has no such attachment." });
    }
    const headers = new Headers({
      "content-type": attachment.contentType,
      "content-disposition": disposition(attachment.filename),
    });
    return await sendLarge(c, deps, { content: attachment.content, headers });
  };
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
