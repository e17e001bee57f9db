import { AppError } from "../../errors.ts";
import { withDate } from "../../mail/message-date.ts";
import type { StoredEmail } from "../../store/stored-email.ts";
import type { ApiContext } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { holdForRead, sendLarge } from "../middleware/large-read.ts";
import { openMessage } from "./email-answer.ts";
import { findEmail } from "./find-email.ts";

/** GET /api/v1/emails/{id}/raw: the very bytes that were or will be sent, Bcc nowhere in them. */
export function createGetRaw(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    // Its size is known before any of it is read.
    await holdForRead(c, deps, (await findEmail(c, deps)).messageBytes);
    const email = await findEmail(c, deps, { message: true });
    const message = openMessage(email, deps.keyRing);
    if (!message) throw contentDestroyed();
    const headers = new Headers({
      "content-type": "message/rfc822",
      "content-disposition": `attachment; filename="${email.id}.eml"`,
    });
    return await sendLarge(c, deps, { content: withDate(message, dateOf(email)), headers });
  };
}

/** Of the last attempt that came as far as the body; before one, the time it is scheduled for. */
function dateOf({ attempts, scheduledAt }: StoredEmail): Date {
  return attempts.findLast(({ messageDate }) => messageDate !== null)?.messageDate ?? scheduledAt;
}

export function contentDestroyed(): AppError {
  return new AppError("not_found", { publicDetail: "The content of this email was destroyed." });
}
