import { cancelRefused } from "../../emails/change-refusal.ts";
import { answer } from "../answer.ts";
import { type ApiContext, claimsOf } from "../api-env.ts";
import type { AppDeps } from "../app-deps.ts";
import { emailIdOf, noSuchEmail } from "../request/email-id.ts";

/** DELETE /api/v1/cancel/{id}: 200 means that it will never be sent. */
export function createCancelEmail(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const id = emailIdOf(c);
    const cancelled = await deps.emails.cancel(id, claimsOf(c), deps.peerAddress?.(c) ?? null);
    if (cancelled === "not_found") throw noSuchEmail();
    if (cancelled !== "cancelled") throw cancelRefused(cancelled);
    return answer(c, { id, status: "cancelled" });
  };
}
