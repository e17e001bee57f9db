import { AppError } from "../../errors.ts";
import { answer } from "../answer.ts";
import { type ApiContext, claimsOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { emailIdOf, noSuchEmail } from "../request/email-id.ts";

/**
 * DELETE /api/v1/emails/{id}/content: destroys the data key of an email that has ended, so that
 * nothing of its content can be read again, nor sent. 200 also when it already was.
 */
export function createShredContent(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const id = emailIdOf(c);
    const shredded = await deps.emails.shred(id, claimsOf(c), deps.peerAddress?.(c) ?? null);
    if (shredded.kind === "not_found") throw noSuchEmail();
    const { kind, status } = shredded;
    if (kind === "not_finished") {
      throw new AppError("not_finished", {
        publicDetail: `It is ${status} and may still be sent: cancel it first.`,
      });
    }
    return answer(c, { id, status, content: "destroyed" });
  };
}
