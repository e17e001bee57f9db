import { AppError } from "../errors.ts";
import type { CancelAnswer } from "../store/stored-email.ts";
import { answer } from "./answer.ts";
import { type ApiContext, claimsOf } from "./api-env.ts";
import type { AppDeps } from "./app-deps.ts";
import { emailIdOf, noSuchEmail } from "./email-id.ts";

type Refusal = Exclude<CancelAnswer, "cancelled" | "not_found">;

const refusals = {
  in_flight: "Its body is on the way to the next hop; whether that takes it shows in a moment.",
  already_sent: "It was sent already, to some of its recipients at least.",
  already_failed: "It failed and will not be sent again unless somebody replays it.",
  already_expired: "It expired and will not be sent.",
  already_suppressed: "It was suppressed and will not be sent.",
  outcome_uncertain: "It may have been sent: the connection was lost before the reply came.",
} satisfies Record<Refusal, string>;

/** DELETE /api/v1/cancel/{id}: 200 means that it will never be sent. */
export function createCancelEmail(deps: AppDeps) {
  return async (c: ApiContext): Promise<Response> => {
    const id = emailIdOf(c);
    const cancelled = await deps.emails.cancel(id, claimsOf(c), deps.peerAddress?.(c) ?? null);
    if (cancelled === "not_found") throw noSuchEmail();
    if (cancelled !== "cancelled") {
      throw new AppError(cancelled, { publicDetail: refusals[cancelled] });
    }
    return answer(c, { id, status: "cancelled" });
  };
}
